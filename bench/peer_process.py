"""A Postgres peer's worker in a process of its own: `python -m bench.peer_process MODULE FOLDER`.

Its bodies call `ran`; at SIGTERM it prints the CPU seconds since it was ready, how many bodies ran, and when the first
began and the last ended, on the clock that all processes of a machine share.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any


class Span:
    """What the bodies of this process came to."""

    count = 0
    first = last = 0


def ran() -> int:
    """A body ran; the moment."""
    now = time.monotonic_ns()
    Span.first = Span.first or now
    Span.last = now
    Span.count += 1
    return now


async def work(module: Any, where: Path) -> None:
    """Works until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    before = time.process_time()
    running = asyncio.ensure_future(module.work(where, lambda: print("ready", flush=True)))
    stop = asyncio.ensure_future(stopped.wait())
    await asyncio.wait((running, stop), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    said = {"cpu": time.process_time() - before, "count": Span.count, "first": Span.first, "last": Span.last}
    print(json.dumps(said), flush=True)
    os._exit(0)


if __name__ == "__main__":
    import sys

    sys.modules["bench.peer_process"] = sys.modules["__main__"]  # bodies count here
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    asyncio.run(work(importlib.import_module(f"bench.{options.module}"), options.folder))
