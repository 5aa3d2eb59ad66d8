"""What the demo says in the end, and whether it may say so: every figure is counted from the journal or the effect log, and a
promise that does not hold is said first and makes the exit code 1."""

from __future__ import annotations

import os
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from perdure.cli.demo.effects import Identity, Line
from perdure.cli.demo.run import Home, Story, recorded_items
from perdure.cli.demo.search import count_files
from perdure.cli.screen import program_name, say, styled
from perdure.cli.text import plural, span


class Report(msgspec.Struct, frozen=True):
    """The figures. Times in seconds."""

    status: str
    folder: str
    files: int
    indexed: int
    skipped: dict[str, int]
    lines: int
    words: int
    activities: int
    runs: int
    run_twice: int
    in_flight_at_kill: int
    recorded_rerun: int
    killed: bool
    resumed: bool
    seconds_to_resume: float | None
    activities_per_second: float
    seconds: float
    index_kind: str
    broken: tuple[str, ...]


def standard_library() -> Path:
    """The source of the running Python's standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def report(story: Story, home: Home) -> Report:
    """The figures of a story, and what does not hold."""
    facts = Facts(story)
    summary: dict[str, Any] = msgspec.to_builtins(story.execution.result) or {}
    kind, indexed = count_files(str(home.index)) if home.index.exists() else ("", 0)
    spent = facts.working_seconds()
    return Report(
        status=story.execution.status,
        folder=str(story.execution.input["folder"]),
        files=summary.get("files", 0),
        indexed=indexed,
        skipped=summary.get("skipped", {}),
        lines=summary.get("lines", 0),
        words=summary.get("words", 0),
        activities=len(facts.recorded),
        runs=facts.begins.total(),
        run_twice=len(facts.twice),
        in_flight_at_kill=len(facts.in_flight()),
        recorded_rerun=len(facts.rerun),
        killed=bool(story.kills),
        resumed=story.resumed,
        seconds_to_resume=facts.time_to_resume(),
        activities_per_second=round(facts.ends / spent, 1) if spent else 0.0,
        seconds=round(spent, 2),
        index_kind=kind,
        broken=tuple(_broken(facts, summary, indexed)),
    )


class Facts:
    """What journal and effect log say of the same activities."""

    def __init__(self, story: Story) -> None:
        self.story, self.lines = story, story.log.lines
        self.recorded = recorded_items(story.view)
        for kill in story.kills:  # what was recorded by then stays recorded: were it gone since, its re-run would show
            self.recorded |= kill.recorded
        self.begins = Counter(line.identity for line in self.lines if line.mark == "begin")
        self.ends = sum(line.mark == "end" for line in self.lines)
        self.twice = {identity for identity, count in self.begins.items() if count > 1}
        self.rerun = [line for line in self.lines if line.mark == "begin" and line.at > self._recorded_at(line)]

    def _recorded_at(self, line: Line) -> int:
        return self.recorded.get(line.identity, line.at)

    def in_flight(self) -> set[Identity]:
        """What had begun and was not recorded when its worker died, in this demo or in the one that it resumes."""
        killed = {
            line.identity
            for kill in self.story.kills
            for line in self.lines
            if line.process == kill.process and line.identity not in kill.recorded
        }
        return killed | self._in_flight_before() if self.story.resumed else killed

    def _in_flight_before(self) -> set[Identity]:
        """Of workers that an earlier demo had, nobody noted what was recorded when they ended. So it counts what was not
        recorded when the next one wrote its first line."""
        spans, killed = self._spans(), {kill.process for kill in self.story.kills}
        found: set[Identity] = set()
        for process in spans.keys() - killed:
            later = [first for first, _ in spans.values() if first > spans[process][1]]
            mine = {line.identity for line in self.lines if line.process == process}
            found |= {one for one in mine if later and self.recorded.get(one, min(later)) >= min(later)}
        return found

    def time_to_resume(self) -> float | None:
        """From the first kill to the end of the next activity, in seconds."""
        for kill in self.story.kills:
            later = [line.at for line in self.lines if line.mark == "end" and line.process != kill.process]
            after = [at for at in later if at > kill.asked_at]
            if after:
                return round((min(after) - kill.asked_at) / 1000, 3)
        return None

    def working_seconds(self) -> float:
        """How long workers were at work, each from its first line to its last."""
        return sum(last - first for first, last in self._spans().values()) / 1000

    def _spans(self) -> dict[int, tuple[int, int]]:
        """When each worker wrote its first line, and its last."""
        spans: dict[int, tuple[int, int]] = {}
        for line in self.lines:
            first, last = spans.get(line.process, (line.at, line.at))
            spans[line.process] = min(first, line.at), max(last, line.at)
        return spans


def _broken(facts: Facts, summary: dict[str, Any], indexed: int) -> Iterator[str]:
    """Promises that do not hold."""
    story = facts.story
    if story.execution.status != "completed":
        failure = story.execution.failure
        said = f": {failure.type}: {failure.message}" if failure else ""
        yield f"the execution {story.execution.status}{said}"
        return
    if facts.rerun:
        yield f"{plural(len(facts.rerun), 'recorded result')} ran again, as {facts.rerun[0].item}"
    if lost := [identity for identity in facts.recorded if identity not in facts.begins]:
        yield f"{plural(len(lost), 'result')} recorded that no run gave, as {lost[0]}"
    unexplained = facts.twice - facts.in_flight()
    if unexplained:
        yield f"{plural(len(unexplained), 'activity', 'activities')} ran twice without having been in flight"
    files = sum(activity == "read_file" for activity, _ in facts.recorded)
    if files != summary["files"]:
        yield f"{summary['files']:,} files were listed, {files:,} are recorded"
    if indexed != summary["indexed"]:
        yield f"{summary['indexed']:,} files were read, {indexed:,} are in the index"


# --- for people


def tell(found: Report, home: Home, program: str, *, kill: bool) -> None:
    """The figures, the places, and what to type next. `kill`: a worker was to be killed."""
    say("")
    for promise in found.broken:
        say(styled(f"✗ {promise}", "red bold"))
    if not found.broken:
        say(styled("✓ every recorded result was kept, none was computed twice", "green bold"))
    if not found.killed:
        why = "too few files: it was over before the worker could be killed" if kill else "--no-kill"
        say(styled(f"! nothing was killed ({why}), so this shows little", "yellow"))
    say("")
    for name, figure, remark in _rows(found):
        say(f"  {name:<22}", styled(f"{figure:>9}", "bold"), styled(f"   {remark}", "dim"))
    say("")
    for name, place in (("store", home.store), ("index", home.index), ("effects", home.effects)):
        size = os.path.getsize(place) if place.exists() else 0
        say(styled(f"  {name:<9}", "dim"), f"{_shown(place)}  ", styled(f"{size / 1e6:,.1f} MB", "dim"))
    say(styled("  program  ", "dim"), program)
    say("")
    word = "asyncio" if found.folder == str(standard_library()) else "WORD"
    place = "" if home.usual else f" --data {_shown(home.folder)}"
    say(styled("  next     ", "dim"), f"{program_name()} demo{place} --search {word}")
    say("           ", f"{program_name()} list --url sqlite:///{_shown(home.store)}")


def _rows(found: Report) -> list[tuple[str, str, str]]:
    skipped = ", ".join(f"{count:,} {why}" for why, count in sorted(found.skipped.items()))
    rows = [
        ("files", f"{found.files:,}", f"{found.indexed:,} indexed" + (f", skipped {skipped}" if skipped else "")),
        ("activities recorded", f"{found.activities:,}", f"of {found.runs:,} that were run"),
    ]
    if found.killed or found.resumed:
        ended = "it was killed" if not found.resumed else f"a worker was stopped{' or killed' if found.killed else ''}"
        rows += [
            ("run twice", f"{found.run_twice:,}", f"of {found.in_flight_at_kill} in flight when {ended}"),
            ("recorded and run again", f"{found.recorded_rerun:,}", "counted in effects.log, no file of the engine"),
        ]
    if found.seconds_to_resume is not None:
        remark = "kill -9 to the next activity's end"
        rows.append(("time to resume", span(found.seconds_to_resume), remark))
    rows.append(
        ("activities a second", f"{found.activities_per_second:,.0f}", f"{found.lines:,} lines, {found.words:,} words")
    )
    return rows


def _shown(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
