"""The seam between the engine and a database: `protocol` is the contract, `store` its async face, the folders beside
them the databases. Nothing above this package names a database; `opening` finds one by its URL."""

from perdure.storage.protocol import Storage

__all__ = ["Storage"]
