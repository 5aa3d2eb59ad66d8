"""The executable model: a storage in plain dictionaries, against which every other one is held.

It says what the contract (`perdure.storage.protocol`) means, one small module per party: `intake` for clients, `leases`
for workers, `commits` for what a running execution does, `maintenance` for taking back and removing, `reading` for
eyes. `tables` holds the data and can undo, `moves` has the rules by which executions settle, wake and close. It is
simple rather than fast, and yet finds ready work without scanning, so that tests may hold 100,000 executions.

It forgets everything with the process. It must never do what the contract does not say, be it convenient or not: a
difference between this model and a database is a bug of one of them.
"""

from perdure.storage.memory.storage import MemoryStorage

__all__ = ["MemoryStorage"]
