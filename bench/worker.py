"""A worker in a process of its own: `python -m bench.worker FOLDER`. It prints `ready`, and at SIGTERM the CPU seconds that
it has taken since."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path

from bench.ours import app_on


async def work(where: Path, concurrency: int) -> None:
    """Works until SIGTERM."""
    async with app_on(where).connect() as app:
        service = app.worker(concurrency=concurrency)
        running = asyncio.ensure_future(service.run())
        while not await app.workers() and not running.done():
            await asyncio.sleep(0.005)
        before = time.process_time()
        print("ready", flush=True)
        await running
        print(json.dumps({"cpu": time.process_time() - before}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--concurrency", type=int, default=100)
    options = parser.parse_args()
    asyncio.run(work(options.folder, options.concurrency))
