"""When two answers of storages say the same, and which of the documented answers one is.

`alike` takes away what the contract leaves open: the wording of a conflict, the order of sets, the numbers that signals
are given. It must never take away anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from perdure.model.externals import Answered
from perdure.model.records import Beat, Committed, Conflict, JournalView, Reclaimed, Row


def alike(answer: Any) -> Any:
    """An answer without what the contract leaves open."""
    match answer:
        case list():
            return [alike(each) for each in cast("list[Any]", answer)]
        case Conflict():
            return Conflict(answer.id, "")
        case Committed(lost=True):
            return Committed(lost=True)
        case Committed():
            spawned = tuple(alike(each) for each in answer.spawned)
            return msgspec.structs.replace(answer, spawned=spawned, woken=tuple(sorted(answer.woken)))
        case Answered():
            return msgspec.structs.replace(answer, woken=tuple(sorted(answer.woken)))
        case Beat():
            return Beat(tuple(sorted(answer.lost)), tuple(sorted(answer.cancelled)), answer.drain)
        case Reclaimed():
            return Reclaimed(*(tuple(sorted(getattr(answer, name))) for name in answer.__struct_fields__))
        case JournalView():
            signals = [msgspec.structs.replace(each, position=rank) for rank, each in enumerate(answer.signals)]
            return msgspec.structs.replace(answer, signals=tuple(signals))
        case _:
            return answer


def differences(expected: Sequence[Row], got: Sequence[Row]) -> list[str]:
    """Where two readings of all rows differ, field by field."""
    mine, theirs = {row.id: row for row in expected}, {row.id: row for row in got}
    found = [f"{id} is missing" for id in mine.keys() - theirs.keys()]
    found += [f"{id} should not be" for id in theirs.keys() - mine.keys()]
    for id in mine.keys() & theirs.keys():
        pairs = [(name, getattr(mine[id], name), getattr(theirs[id], name)) for name in mine[id].__struct_fields__]
        found += [f"{id}.{name} is {got!r}, not {expected!r}" for name, expected, got in pairs if expected != got]
    if not found and [row.id for row in expected] != [row.id for row in got]:
        found.append("rows come in another order")
    return found


def kinds(verb: str, answer: Any) -> list[str]:
    """Which of the documented answers came, for the tally."""
    answers = cast("list[Any]", answer) if isinstance(answer, list) else [answer]
    found = [f"{verb}: {_kind(each)}" for each in answers]
    return found + [f"{verb}: woke" for each in answers if getattr(each, "woken", ())]


def _kind(answer: Any) -> str:
    match answer:
        case Committed():
            return "lost" if answer.lost else f"{'cancelled ' * answer.cancelled}{answer.status}"
        case Conflict():
            return "conflict"
        case Answered():
            return "first" if answer.first else "stood"
        case str() | bool() | None:
            return str(answer)
        case int():
            return "some" if answer else "none"
        case Reclaimed():
            return " ".join(name for name in answer.__struct_fields__ if getattr(answer, name)) or "nothing"
        case _:
            created = getattr(answer, "created", None)
            return "met" if created is False else "done"
