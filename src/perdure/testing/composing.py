"""Wishes turned into operations on what a storage holds: ids from a counter, times from now, counters as an engine
that reads honestly would give them.

Only the model is read, never the candidate, so that both get the same operation. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from perdure.model.externals import NewCompletion
from perdure.model.records import (
    MEMO,
    Completed,
    Entry,
    JournalView,
    NewExecution,
    Outcome,
    Released,
    Retried,
    Row,
    Settled,
    Suspended,
    Transition,
    Wait,
)
from perdure.model.status import SETTLED, UNSUCCESSFUL
from perdure.model.trees import planned
from perdure.storage import Storage
from perdure.storage.opening import open_storage
from perdure.testing import wishes
from perdure.testing.growing import FAILURE, joined
from perdure.testing.wishes import CompletionWish, ExecutionWish, OutcomeWish, SpawnWish, TransitionWish


class Composer:
    """The model, its rows as last read, the ids that were ever used, and the time."""

    def __init__(self) -> None:
        super().__init__()
        self.model: Storage = open_storage("memory://")
        self.now: int = 1_700_000_000_000
        self.ids: list[str] = []
        self.rows: list[Row] = []
        self.position = 0

    def pick(self, number: int) -> str:
        """One of the ids that were ever used, now and then one that never was."""
        return self.ids[number % len(self.ids)] if number < 62 else "nobody"

    def _name(self) -> str:
        self.ids.append(f"e{len(self.ids)}")
        return self.ids[-1]

    def new(self, wish: ExecutionWish) -> NewExecution:
        """The execution to enqueue."""
        known = wish.known is not None and self.ids
        return NewExecution(
            id=self.ids[(wish.known or 0) % len(self.ids)] if known else self._name(), task_name=wish.task, input="{}",
            queue=wish.queue, priority=wish.priority, due_at=self._after(wish.delay),
            deadline_at=self._after(wish.deadline), input_digest=wish.digest, idempotency_key=wish.key,
            tags='{"color":"red"}' if wish.priority == 0 else None, max_crashes=wish.max_crashes,
            retention=wish.retention, worker_id=wish.worker, entries=(self._entry("x", "result"),) if wish.forked else (),
            external_key=wish.external, origin=wishes.TASKS[0] if wish.renamed else None,
        )  # fmt: skip

    def _after(self, delay: int | None) -> int | None:
        return None if delay is None else self.now + delay

    def _entry(self, key: str, what: str) -> Entry:
        self.position += 1
        kind, name = ("signal", key) if what == "signal" else ("activity", "act")
        scope, value, failure = ("0.0", None, FAILURE) if what == "failure" else (MEMO, str(self.position), None)
        return Entry(key, scope, self.position, kind, name, value, failure, None, self.now, None, 1)

    def completion(self, wish: CompletionWish, id: str) -> NewCompletion:
        """A completion of an external task."""
        value, failure = (None, FAILURE) if wish.failed else (f'"{id}"', None)
        asked = [(row.origin, row.external_key) for row in self.rows if row.status == "waiting" and row.external_key]
        origin, key = asked[0] if wish.aimed and asked else (wish.task, wish.key)
        return NewCompletion(id, origin, key, value, failure, wish.retention)

    def picked(self, wish: TransitionWish) -> Row:
        """The row that a transition is about."""
        running = [row for row in self.rows if row.status == "running"]
        rows = self.rows if wish.other or not running else running
        return rows[wish.pick % len(rows)]

    def transition(self, wish: TransitionWish, row: Row, token_shift: int) -> Transition:
        """A transition of that row."""
        view = self.model.journal([row.id])[0]
        entries = tuple(self._recorded(row, view, each.key, each.what) for each in wish.entries)
        spawns = tuple(self._spawn(row, view, each) for each in wish.spawns)
        outcome = None if wish.outcome is None else self._outcome(row, view, entries, wish.outcome)
        return Transition(
            row.id, row.token + token_shift, entries, spawns, outcome, wish.progress, wish.anew, wish.drop
        )

    def _recorded(self, row: Row, view: JournalView, key: str, what: str) -> Entry:
        """An entry; a signal is taken only when one is there, as a body would."""
        name = wishes.SIGNALS[len(key) % 2]
        left = sum(each.name == name for each in view.signals) - _taken(view.entries, name)
        if what != "signal" or left < 1:
            return self._entry(key, "failure" if what == "failure" else "result")
        entry = self._entry(f"{name} {_taken(view.entries, name)}", "signal")
        return msgspec.structs.replace(entry, name=name)

    def _spawn(self, row: Row, view: JournalView, wish: SpawnWish) -> NewExecution:
        item = NewExecution(
            id="", task_name="work", input="{}", due_at=self._after(wish.delay), deadline_at=self._after(wish.deadline),
            idempotency_key=wish.key, worker_id=wish.worker, external_key=wish.external,
        )  # fmt: skip
        if wish.slot is None:
            return msgspec.structs.replace(item, id=self._name())
        in_slot = [child for child in view.children if child.slot == wish.slot]
        last = max(in_slot, key=lambda child: child.generation, default=None)
        generation = 0 if last is None else last.generation + last.stale
        id = self._name() if wish.renamed else f"{row.id}/{wish.slot}/{generation}"
        if id not in self.ids:
            self.ids.append(id)
        return msgspec.structs.replace(
            item, id=id, parent_id=row.id, slot=wish.slot, slot_generation=generation, root_id=row.root_id,
            depth=row.depth + 1,
        )  # fmt: skip

    def _outcome(self, row: Row, view: JournalView, entries: Sequence[Entry], wish: OutcomeWish) -> Outcome:
        match wish.ending:
            case "completed":
                return Completed("1") if planned(view.entries) is None or joined(view) else Released(self.now)
            case "failed" | "timed_out" | "cancelled":
                return Settled(wish.ending, FAILURE)
            case "retried":
                return Retried(self.now + wish.delay, FAILURE)
            case "released" | "drifted":
                drifted = wish.ending == "drifted"
                return Released(self.now + wish.delay, FAILURE if drifted else None, drifted)
            case "suspended":
                return self._suspended(row, view, entries, wish)

    def _suspended(self, row: Row, view: JournalView, entries: Sequence[Entry], wish: OutcomeWish) -> Suspended:
        """A suspension as an engine would write it: counters are what is known, plus what is waited for."""
        names = tuple(sorted(wish.signals))
        open_children = sum(child.status not in SETTLED for child in view.children)
        join = wish.join if open_children else ""
        external = row.external_key if wish.external else None
        timed = wish.timer or not (names or join or external)
        due_at = self.now + wish.delay if timed else None
        waits = [Wait("signal", name) for name in names] + [Wait("children")] * bool(join)
        waits += [Wait("external", external)] if external else []
        known = view.children_settled
        failed = sum(child.status in UNSUCCESSFUL and not child.stale for child in view.children)
        return Suspended(
            waits=(*waits, Wait("timer", "", due_at)) if timed else tuple(waits),
            due_at=due_at,
            signals=names,
            taken=tuple(_taken((*view.entries, *entries), name) for name in names),
            wake_any=known + 1 if join in ("any", "both") else None,
            wake_all=known + open_children if join in ("all", "both", "failed") else None,
            wake_failed=failed if join == "failed" else None,
            rest_until=self.now + wish.rest,
            external=(row.origin, external) if external else None,
        )


def _taken(entries: Sequence[Entry], name: str) -> int:
    signals = [entry for entry in entries if entry.kind == "signal" and entry.token > 0]
    return len({entry.key for entry in signals if entry.name == name and entry.value is not None})
