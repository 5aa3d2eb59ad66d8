"""dbos in a process of its own: `python -m bench.peer_worker FOLDER`; prints what `bench.worker` prints."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from pathlib import Path

from dbos import DBOS

from bench.peer import launch, long, moments


async def cut(where: Path, count: int) -> None:
    """Records steps and dies before the workflow ends."""
    await launch(where)
    moments["cut"] = 1
    await (await DBOS.start_workflow_async(long, count)).get_result()


async def work(where: Path, polling: float) -> None:
    """Works until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await launch(where, polling=polling)
    before = time.process_time()
    print("ready", flush=True)
    await stopped.wait()
    print(json.dumps({"cpu": time.process_time() - before}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--polling", type=float, default=0.1)
    parser.add_argument("--cut", type=int, metavar="STEPS")
    options = parser.parse_args()
    asyncio.run(cut(options.folder, options.cut) if options.cut else work(options.folder, options.polling))
