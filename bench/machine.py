"""What was measured on: figures without it mean nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench import place

PEERS = ("dbos", "absurd-sdk", "pgqueuer", "procrastinate")


def describe() -> dict[str, str]:
    """Machine and versions."""
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **_databases(),
        "perdure": f"{_version('perdure')} {_commit()}",
        **{name: _version(name) for name in (PEERS if place.on_postgres() else PEERS[:1])},
    }


def _databases() -> dict[str, str]:
    if not place.on_postgres():
        return {"sqlite": sqlite3.sqlite_version}
    return {"postgres": place.server_version(), "psycopg": _version("psycopg")}


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / 2**20:.0f} GiB"
    return "unknown"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _commit() -> str:
    try:
        words = ("git", "describe", "--always", "--dirty")
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
