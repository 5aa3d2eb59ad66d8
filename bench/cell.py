"""One cell in a process of its own: `python -m bench.cell MODULE:FUNCTION '{"count": 1000}'`, with `--profile` to see where
the time goes. The last line of its output is JSON.

A cell is a function that takes a folder of its own and its parameters, and answers figures by metric.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import importlib
import inspect
import json
import os
import pstats
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench import place

BUILD = Path(__file__).parent.parent / "build" / "bench"


class Watch:
    """Wall and CPU time of a stretch of this process, all threads."""

    wall = cpu = server = 0.0

    def rate(self, count: int) -> dict[str, float]:
        """So many things done in it: per second, and CPU seconds per 1,000, here and in a server."""
        found = {"rate": count / self.wall, "cpu": self.cpu / count * 1000}
        return {**found, "server": self.server / count * 1000} if place.on_postgres() else found


profile: cProfile.Profile | None = None
threads: dict[str, float] = {}
"""CPU seconds of each thread while the clock ran, where the system tells."""


def cpu_by_thread() -> dict[str, float]:
    """CPU seconds of the threads that there are now, by name (Linux)."""
    found: dict[str, float] = {}
    for thread in threading.enumerate():
        with suppress(OSError, ValueError):
            text = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text()
            found[thread.name] = found.get(thread.name, 0.0) + int(text.split()[0]) / 1e9
    return found


@contextmanager
def stretch() -> Generator[Watch]:
    """Times what stands inside; under `--profile` this is what is profiled."""
    watch, before, server = Watch(), cpu_by_thread(), place.server_cpu()
    if profile is not None:
        profile.enable()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield watch
    finally:
        watch.wall, watch.cpu = time.perf_counter() - wall, time.process_time() - cpu
        watch.server = place.server_cpu() - server
        if profile is not None:
            profile.disable()
        for name, spent in cpu_by_thread().items():
            threads[name] = threads.get(name, 0.0) + spent - before.get(name, 0.0)


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@contextmanager
def folder() -> Generator[Path]:
    """A fresh folder on the disk of this checkout: a temporary one may be memory, where a commit costs nothing. On Postgres
    it stands for two databases."""
    BUILD.mkdir(parents=True, exist_ok=True)
    found = Path(tempfile.mkdtemp(dir=BUILD))
    try:
        with place.databases(found, "bench", "dbos"):
            yield found
    finally:
        shutil.rmtree(found, ignore_errors=True)


def resolve(name: str) -> Callable[..., Any]:
    """`module:function` below `bench`."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(f"bench.{module}"), function)


def run(name: str, parameters: dict[str, Any], where: Path) -> dict[str, float]:
    """The figures of one cell."""
    answer = resolve(name)(where, **parameters)
    return asyncio.run(answer) if inspect.iscoroutine(answer) else answer


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure one cell.")
    parser.add_argument("function")
    parser.add_argument("parameters", nargs="?", default="{}")
    parser.add_argument("--profile", action="store_true", help="profile the main thread while the clock runs")
    parser.add_argument("--threads", action="store_true", help="say how the CPU time is shared by the threads")
    options = parser.parse_args()
    if options.profile:
        global profile
        profile = cProfile.Profile()
    with folder() as where:
        figures = run(options.function, json.loads(options.parameters), where)
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    if options.threads:
        print(*(f"{spent * 1000:10.1f} ms  {name}" for name, spent in sorted(threads.items())), sep="\n")
    sys.stdout.flush()
    os.write(1, (json.dumps(figures) + "\n").encode())
    os._exit(0)  # a competitor's threads may take their time


if __name__ == "__main__":
    # The module that runs is `__main__`; cells import `bench.cell`, so that one must be it.
    sys.modules["bench.cell"] = sys.modules["__main__"]
    main()
