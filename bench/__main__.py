"""`python -m bench [W1 W3 …] [--on postgres] [--rounds N] [--quick] [--json FILE]`: measures, prints, and writes JSON with a
table beside. On Postgres it starts a server of its own (fsync on), unless `$PERDURE_BENCH_POSTGRES` names one."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from bench import (
    activities,
    crowded,
    drain,
    enqueue,
    idle,
    latency,
    machine,
    place,
    report,
    resume,
    sleepers,
    startup,
    styles,
    tree,
)
from bench.cell import BUILD
from bench.model import Workload
from bench.rounds import measure

WORKLOADS: tuple[Callable[[bool], Workload], ...] = (
    enqueue.workload, drain.workload, activities.workload, latency.workload, tree.workload, resume.workload,
    crowded.workload, sleepers.workload, styles.workload, idle.workload, startup.workload,
)  # fmt: skip


def main() -> int:
    options = arguments()
    with serving(options.on):
        return measured(options)


def measured(options: argparse.Namespace) -> int:
    """What was asked for, on whichever database."""
    found = {each.name: each for each in (make(options.quick) for make in WORKLOADS)}
    if unknown := [name for name in options.workloads if name not in found]:
        print(f"bench: no workload {', '.join(unknown)}; there are {', '.join(found)}", file=sys.stderr)
        return 2
    rounds = options.rounds or (1 if options.quick else 5)
    about = machine.describe()
    print(*(f"{name:<12} {value}" for name, value in about.items()), sep="\n")
    results = []
    for name in options.workloads or found:
        results.append(measure(found[name], rounds, said))
        said("")
        print(report.plain(results[-1]), flush=True)
    path = options.json or default_path(options.quick)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.as_json(about, rounds, results), indent=1) + "\n")
    path.with_suffix(".md").write_text(report.markdown(about, rounds, results))
    print(f"\n{path} and {path.with_suffix('.md').name}")
    return 0


@contextmanager
def serving(database: str) -> Generator[None]:
    """A server for the cells, where one is asked for and none is named."""
    if database == "sqlite":
        os.environ.pop(place.SERVER, None)
        yield
    elif place.SERVER in os.environ:
        yield
    else:
        from perdure.testing.postgres import server

        with server(durable=True, shared_buffers="512MB", log_line_prefix="%d|%p|", max_wal_size="4GB") as own:
            process = own.process
            assert process is not None
            first = (process.data / "postmaster.pid").read_text().split()[0]
            os.environ |= {place.SERVER: own.url, place.PROCESS: first, place.LOG: str(process.folder / "log")}
            yield


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure beside competitors and the bare database."
    )
    parser.add_argument("workloads", nargs="*", metavar="W1", help="only these")
    parser.add_argument("--on", choices=("sqlite", "postgres"), default="sqlite", help="the database (sqlite)")
    parser.add_argument("--rounds", type=int, help="rounds by turns (5)")
    parser.add_argument("--quick", action="store_true", help="one small round: does it work at all?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write; a .md stands beside")
    return parser.parse_args()


def default_path(quick: bool) -> Path:
    """`bench/results/sqlite-python-3.11.json`; what was quick is not kept."""
    if quick:
        return BUILD / "quick.json"
    version = ".".join(platform.python_version_tuple()[:2])
    return Path(__file__).parent / "results" / f"{place.database_name().lower()}-python-{version}.json"


def said(text: str) -> None:
    """What goes on now, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
