"""Every background loop, one per module; `Worker` owns them and is the host of the drivers that run here."""

from perdure.worker.worker import Worker

__all__ = ["Worker"]
