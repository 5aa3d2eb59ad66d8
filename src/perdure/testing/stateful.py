"""Any storage against the memory storage: random operations to both, every answer and everything stored compared.

    TestMine = against(lambda: MyStorage(":memory:")).TestCase

`against` makes a hypothesis state machine. Each step sends one operation to the model and to the candidate, with the
same ids (from a counter) and the same times, then compares answers, rows, journals, numbers and workers, and asks the
invariant checker about the candidate. Sequences hold what clients and workers really do wrong: stale tokens, calls sent
again, unknown ids, workers that never come back, transactions that fail.

What the contract leaves open is made equal before comparing (`perdure.testing.likeness`). This module must never look
behind the protocol, nor mend what it finds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from perdure.model.externals import NewCompletion
from perdure.model.query import Query, parse
from perdure.model.records import (
    ClaimRequest,
    Conflict,
    Found,
    Heartbeat,
    JournalView,
    NewSignal,
    Row,
    Transition,
    WorkerRow,
)
from perdure.model.trees import FINALIZE, planned
from perdure.storage import Storage
from perdure.storage.check import Observed, check, compare, read
from perdure.storage.protocol import Order
from perdure.testing import wishes
from perdure.testing.composing import Composer
from perdure.testing.growing import grown, withered
from perdure.testing.likeness import alike, differences, kinds
from perdure.testing.wishes import LEASE, CompletionWish, ExecutionWish, TransitionWish

ALL_QUEUES, ALL_TASKS = wishes.QUEUES, wishes.TASKS
Operation = Callable[[Storage], Any]


class StorageMachine(Composer, RuleBasedStateMachine):
    """The state machine; `against` gives it a candidate."""

    tally: ClassVar[Counter[str]] = Counter()
    """What happened in all runs so far, to see that nothing was left out."""
    reopens: ClassVar[bool] = False

    def make(self) -> Storage:
        """The candidate, empty."""
        raise NotImplementedError

    def reopen(self, storage: Storage) -> Storage:
        """Closes a candidate and answers another on the same data."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.real = self.make()
        self.real.migrate(self.now)
        self.signals: list[NewSignal] = []
        self.completions: list[NewCompletion] = []
        self.last: Operation | None = None
        self.history: list[Observed] = []

    def teardown(self) -> None:
        self.real.close()

    @initialize(first=wishes.some_executions, family=wishes.families, worker=st.sampled_from(wishes.WORKERS))
    def begin(self, first: list[ExecutionWish], family: TransitionWish, worker: str) -> None:
        """Known workers, some executions, and a family: most of what can go wrong needs them."""
        for each in wishes.WORKERS:
            self.heartbeat(each, wrong=False, holding=None, drain=False)
        self.enqueue(first)
        self.rows = read(self.model).listed
        self.work(worker, [family])
        self.rows = read(self.model).listed

    @rule(wanted=wishes.many_executions)
    def enqueue(self, wanted: list[ExecutionWish]) -> None:
        items = [self.new(wish) for wish in wanted]
        answers = self._both("enqueue", lambda storage: storage.enqueue(items, self.now))
        for item, answer in zip(items, answers, strict=True):
            by_key = not isinstance(answer, Conflict) and (answer.created or answer.id != item.id)
            key = item.idempotency_key if by_key else None
            self.history.append(
                Observed(
                    verb="enqueue", execution_id=answer.id, task_name=item.origin or item.task_name, idempotency_key=key
                )
            )

    @rule(worker=st.sampled_from(wishes.WORKERS), limit=st.integers(1, 5), suspects=st.booleans(), narrow=st.booleans())
    def claim(self, worker: str, limit: int, suspects: bool, narrow: bool) -> None:
        queues, tasks = (("mail",), ("work",)) if narrow else (ALL_QUEUES, ALL_TASKS)
        self._claim(ClaimRequest(worker, queues, tasks, limit, suspects))

    @precondition(lambda self: self.ids)
    @rule(worker=st.sampled_from(wishes.WORKERS), picks=wishes.many_picks)
    def claim_by_name(self, worker: str, picks: list[int]) -> None:
        ids = tuple(self.pick(number) for number in picks)
        self._claim(ClaimRequest(worker, ALL_QUEUES, ALL_TASKS, 10, ids=ids))

    @precondition(lambda self: self.rows)
    @rule(wanted=wishes.batches)
    def commit(self, wanted: list[TransitionWish]) -> None:
        self._commit([self.transition(wish, self.picked(wish), wish.token_shift) for wish in wanted])

    @precondition(lambda self: self.rows)
    @rule(worker=st.sampled_from(wishes.WORKERS), wanted=wishes.batches)
    def work(self, worker: str, wanted: list[TransitionWish]) -> None:
        """Some that are pending or waiting run one pass each: what workers do most."""
        idle = [row for row in self.rows if row.status in ("pending", "waiting")]
        ids = tuple(idle[wish.pick % len(idle)].id for wish in wanted if idle)
        self._claim(ClaimRequest(worker, ALL_QUEUES, ALL_TASKS, 10, ids=ids or ("nobody",)))
        rows = [row for row in self.model.get(ids) if row is not None]
        self._commit([self.transition(wish, row, 0) for wish, row in zip(wanted, rows, strict=False)])

    @precondition(lambda self: self.rows)
    @rule(worker=st.sampled_from(wishes.WORKERS), wanted=wishes.batches)
    def work_more(self, worker: str, wanted: list[TransitionWish]) -> None:
        """The same again: it is to happen oftener than the rest."""
        self.work(worker, wanted)

    @precondition(lambda self: self.rows)
    @rule(worker=st.sampled_from(wishes.WORKERS), pick=wishes.picks, count=st.integers(0, 3), ended=wishes.ends)
    def grow(self, worker: str, pick: int, count: int, ended: list[bool]) -> None:
        """Some passes of a tree, after each of which those of its children end that can be claimed."""
        trees = [row for row in self.rows if planned(self.model.journal([row.id])[0].entries)] or self.rows
        id = trees[pick % len(trees)].id
        for well in ended:
            self._pass(worker, id, lambda row, view: grown(row, view, count, self.now))
            for child in self.model.journal([id])[0].children:
                self._pass(worker, child.id, lambda row, view, well=well: withered(row, view, well, self.now))

    def _pass(self, worker: str, id: str, move: Callable[[Row, JournalView], Transition]) -> None:
        self._claim(ClaimRequest(worker, ALL_QUEUES, ALL_TASKS, 10, ids=(id,)))
        (row,), (view,) = self.model.get([id]), self.model.journal([id])
        if row is not None and row.status == "running":
            self._commit([move(row, view)])

    @precondition(lambda self: self.ids)
    @rule(picks=wishes.many_picks, name=st.sampled_from(("go", *wishes.SIGNALS)), resent=st.booleans())
    def signal(self, picks: list[int], name: str, resent: bool) -> None:
        fresh = [NewSignal(f"sig{len(self.signals) + n}", self.pick(pick), name, "1") for n, pick in enumerate(picks)]
        items = [*self.signals[-1:], *fresh] if resent else fresh
        self.signals += fresh
        answers = self._both("signal", lambda storage: storage.signal(items, self.now))
        for item, answer in zip(items, answers, strict=True):
            if answer is not None:
                self.history.append(Observed(verb="signal", execution_id=item.execution_id, signal_id=item.id))

    @rule(wanted=wishes.completions)
    def complete(self, wanted: list[CompletionWish]) -> None:
        start = len(self.completions)
        self.completions += [self.completion(wish, f"c{start + number}") for number, wish in enumerate(wanted)]
        items = self.completions[max(start - wanted[0].resent, 0) :]
        self._both("complete", lambda storage: storage.complete_external(items, self.now))

    @precondition(lambda self: self.ids)
    @rule(picks=wishes.many_picks)
    def cancel(self, picks: list[int]) -> None:
        items = [(self.pick(number), f"reason {number}") for number in picks]
        self._both("cancel", lambda storage: storage.cancel(items, self.now))

    @precondition(lambda self: self.ids)
    @rule(picks=wishes.many_picks, forget=st.sampled_from((None, None, "act", "work", "nothing")))
    def operate(self, picks: list[int], forget: str | None) -> None:
        ids = [self.pick(number) for number in picks]
        if forget is None:
            self._both("retry", lambda storage: storage.retry(ids, self.now))
        else:
            self._both("forget", lambda storage: storage.forget(ids, forget, self.now))

    @rule(
        worker=st.sampled_from(wishes.WORKERS), wrong=st.sampled_from((False, False, True)),
        holding=st.sampled_from((None, None, 0, 1, 9)),
        drain=st.sampled_from((False, False, True)),
    )  # fmt: skip
    def heartbeat(self, worker: str, wrong: bool, holding: int | None, drain: bool) -> None:
        if drain:
            self._both("drain", lambda storage: storage.drain([worker, "nobody"], self.now))
        held = [(row.id, row.token + wrong) for row in self.rows if row.worker_id == worker]
        running = (*held, ("nobody", 1)) if wrong else tuple(held)
        known = None if holding is None else tuple(id for id, _ in running[:holding])
        beat = Heartbeat(self._worker(worker), running, holding=known)
        self._both("heartbeat", lambda storage: storage.heartbeat(beat, self.now))

    @rule(worker=st.sampled_from(wishes.WORKERS))
    def leave(self, worker: str) -> None:
        beat = Heartbeat(self._worker(worker), leaving=True)
        self._both("leave", lambda storage: storage.heartbeat(beat, self.now))

    @rule(step=st.integers(0, 2 * LEASE), doubt=st.none() | st.integers(0, 2 * LEASE))
    def reclaim(self, step: int, doubt: int | None) -> None:
        self.now += step
        if doubt is not None:
            self._both("reclaim", lambda storage: storage.reclaim(self.now, self.now - doubt))
        self._both("reclaim", lambda storage: storage.reclaim(self.now))
        broken = check(self.real, now=self.now)
        assert not broken, "\n".join(map(str, broken))

    @rule(age=st.none() | wishes.waits, limit=st.integers(1, 5), spare_own=st.booleans())
    def prune(self, age: int | None, limit: int, spare_own: bool) -> None:
        before = None if age is None else self.now - age
        self._both("prune", lambda storage: storage.prune(self.now, before, limit, spare_own))

    @rule(step=st.integers(1, 2 * LEASE))
    def tick(self, step: int) -> None:
        self.now += step

    @precondition(lambda self: self.last is not None)
    @rule()
    def send_again(self) -> None:
        assert self.last is not None
        self._both("sent again", self.last)

    @precondition(lambda self: self.ids)
    @rule(pick=wishes.picks, wish=wishes.executions)
    def failing_transaction(self, pick: int, wish: ExecutionWish) -> None:
        items, signal = [self.new(wish)], NewSignal("undone", self.pick(pick), "go", "1")
        for storage in (self.model, self.real):
            try:
                with storage.transaction():
                    storage.enqueue(items, self.now)
                    storage.signal([signal], self.now)
                    storage.complete_external([NewCompletion("undone", "work", "x", "1")], self.now)
                    storage.cancel([(signal.execution_id, "undone")], self.now)
                    raise InterruptedError
            except InterruptedError:
                pass

    @rule(query=wishes.queries, newest=st.booleans(), limit=st.integers(1, 4))
    def search(self, query: str, newest: bool, limit: int) -> None:
        terms = parse(query)
        order: Order = "newest" if newest else "oldest"
        after: str | None = None
        while (after := self._page(terms, order, limit, after).after) is not None:
            pass
        self._both("count", lambda storage: storage.count(terms, self.now))

    @precondition(lambda self: self.reopens)
    @rule()
    def close_and_open(self) -> None:
        self.real = self.reopen(self.real)

    @invariant()
    def nothing_is_broken(self) -> None:
        broken = check(self.real, self.history)
        assert not broken, "\n".join(map(str, broken))

    @invariant()
    def both_hold_the_same(self) -> None:
        mine, theirs = read(self.model, self.now), read(self.real, self.now)
        assert theirs.listed == mine.listed, "\n".join(differences(mine.listed, theirs.listed))
        for id, view in mine.journals.items():
            assert alike(theirs.journals[id]) == alike(view), id
        assert theirs.workers == mine.workers
        assert sorted(self.real.stats(self.now), key=str) == sorted(self.model.stats(self.now), key=str)
        ids = [*self.ids, "nobody"]
        assert self.real.settled(ids) == self.model.settled(ids)
        assert compare(self.rows, mine.listed) == []
        self.rows = mine.listed

    def _both(self, verb: str, operation: Operation) -> Any:
        expected, got = operation(self.model), operation(self.real)
        assert alike(got) == alike(expected), f"{verb}: {got} is not {expected}"
        if verb not in ("search", "count", "sent again"):
            now = self.now
            self.last = lambda storage: _at(self, now, operation, storage)
        if verb in ("prune", "sent again"):
            kept = read(self.model).rows
            self.history = [note for note in self.history if note.execution_id in kept]
        self.tally.update(kinds(verb, expected))
        return expected

    def _worker(self, id: str) -> WorkerRow:
        return WorkerRow(id, "host", 1, "1", ALL_QUEUES, ALL_TASKS, 10, 0, self.now + LEASE)

    def _page(self, terms: Query, order: Order, limit: int, after: str | None) -> Found:
        return self._both("search", lambda storage: storage.search(terms, order, limit, after, self.now))

    def _claim(self, request: ClaimRequest) -> None:
        answer = self._both("claim", lambda storage: storage.claim(request, self.now))
        self.history += [Observed(verb="claim", execution_id=claim.id, token=claim.token) for claim in answer.claims]

    def _commit(self, transitions: list[Transition]) -> None:
        answers = self._both("commit", lambda storage: storage.commit(transitions, self.now))
        for transition, answer in zip(transitions, answers, strict=True):
            if not answer.lost and any(spawn.slot == FINALIZE for spawn in transition.spawns):
                self.tally.update(["tree: finalized"])


def against(
    candidate: Callable[[], Storage], reopened: Callable[[Storage], Storage] | None = None
) -> type[StorageMachine]:
    """A state machine that holds the storages that `candidate` gives, each empty, against the model. With `reopened` they
    are closed and opened again in between: it closes the one it gets and answers another on the same data."""

    class Against(StorageMachine):
        tally: ClassVar[Counter[str]] = Counter()
        reopens: ClassVar[bool] = reopened is not None

        def make(self) -> Storage:
            return candidate()

        def reopen(self, storage: Storage) -> Storage:
            assert reopened is not None
            return reopened(storage)

    return Against


def _at(machine: StorageMachine, now: int, operation: Operation, storage: Storage) -> Any:
    """The operation as it was sent then, its old time included."""
    later, machine.now = machine.now, now
    try:
        return operation(storage)
    finally:
        machine.now = later
