"""Verbs that ask for time, chance or an outside value: `sleep`, `wait_for`, `now`, `uuid`, `random`, and the wait of an
external task.

A timer's end is recorded when the sleep begins, so a replay waits for the same moment. The n-th `wait_for` of a name that
receives takes the n-th signal. `uuid` and `random` derive from the execution's id and their key and need no entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from perdure.clock import Duration, milliseconds
from perdure.codec import DecodeError, TypeCodec, encode_failure
from perdure.engine.signal import decode_signal
from perdure.engine.waits import OpenWait
from perdure.errors import Failure
from perdure.model.externals import Completion
from perdure.model.records import MEMO, Entry, Received

if TYPE_CHECKING:
    from perdure.engine.journal import Ledger
    from perdure.engine.verbs import Verbs

TIMEOUT: Final = "!timeout"
"""What follows the key of a `wait_for` in that of its timer."""


async def sleep(verbs: Verbs, duration: Duration, key: str | None) -> None:
    """Returns when the time is over, however many passes that takes."""
    length = milliseconds(duration, "sleep")
    await verbs.ready()
    due_at = _timer(verbs, verbs.key("sleep", key), "sleep", length)
    if due_at > verbs.host.clock.now():
        probe: Callable[[Ledger, int], bool | None] = lambda _, now: now >= due_at or None  # noqa: E731
        await verbs.driver.wait(OpenWait(verbs.unique("sleep"), "timer", "", probe, due_at))


async def wait_for(verbs: Verbs, name: str, codec: TypeCodec, timeout: Duration | None, key: str | None) -> Any:
    """The next signal of a name. Raises `TimeoutError` when it is late; that is recorded too."""
    length = None if timeout is None else milliseconds(timeout, "wait_for timeout")
    await verbs.ready()
    own = verbs.key(f"wait_for:{name}", key)
    entry = verbs.recorded(own, "signal", f"wait_for {name}")
    if entry is not None:
        verbs.met(own + TIMEOUT)  # its timer is of no more interest
    else:
        due_at = None if length is None else _timer(verbs, own + TIMEOUT, name, length)
        entry = await _received(verbs, own, name, due_at)
    if entry.value is None:
        raise TimeoutError(f"no signal {name!r} came in time")
    try:
        return decode_signal(codec, verbs.host.payloads.unwrap(entry.value))
    except DecodeError as error:
        cure = f"`perdure retry {verbs.driver.claim.id} --forget {name}` lets it wait for the next one"
        raise verbs.drifted(f"{error}; {cure}") from error


async def _received(verbs: Verbs, key: str, name: str, due_at: int | None) -> Entry:
    """Waits for the signal, and records what came of it."""

    def probe(ledger: Ledger, now: int) -> Entry | None:
        signal = ledger.next_signal(name)
        if signal is not None and (due_at is None or signal.accepted_at <= due_at):
            return _taken(verbs, key, name, signal)
        return _taken(verbs, key, name, None) if due_at is not None and now >= due_at else None

    entry = probe(verbs.driver.ledger, verbs.host.clock.now())
    if entry is None:
        wait = OpenWait(verbs.unique(key), "signal", name, probe, due_at)
        entry = cast("Entry", await verbs.driver.wait(wait))
    await verbs.driver.flushed()
    return entry


async def completion(verbs: Verbs, key: str, limit: float | None) -> Completion | None:
    """What this execution's external key was completed with, waiting up to `limit` seconds, from the first pass of this
    generation on; `None` when that is late."""
    await verbs.ready()
    claim = verbs.driver.claim
    own = f"external{TIMEOUT} {claim.generation}"
    due_at = None if limit is None else _timer(verbs, own, claim.task_name, round(limit * 1000))

    def probe(ledger: Ledger, now: int) -> tuple[Completion | None] | None:
        found = ledger.external
        if found is not None and (due_at is None or found.completed_at <= due_at):
            return (found,)
        return (None,) if due_at is not None and now >= due_at else None

    answer = probe(verbs.driver.ledger, verbs.host.clock.now())
    if answer is None:
        wait = OpenWait(own, "external", key, probe, due_at, external=(claim.origin, key))
        answer = cast("tuple[Completion | None]", await verbs.driver.wait(wait))
    return answer[0]


def _taken(verbs: Verbs, key: str, name: str, signal: Received | None) -> Entry:
    """Notes at once that a signal is taken, so that the next wait of its name takes the next one."""
    late = None if signal else encode_failure(Failure("timed_out", "TimeoutError", f"no signal {name!r} came in time"))
    value = signal.value if signal else None
    driver = verbs.driver
    entry = Entry(key, MEMO, driver.ledger.take_position(), "signal", name, value, late, None,
                  verbs.host.clock.now(), None, driver.claim.token)  # fmt: skip
    verbs.keep(entry)
    return entry


def now(verbs: Verbs, key: str | None) -> int:
    """The time, the same on every replay; durable before anything leaves the process."""
    verbs.ready_now()
    own = verbs.key("now", key)
    entry = verbs.recorded(own, "value", "now")
    if entry is None:
        moment = verbs.host.clock.now()
        driver = verbs.driver
        entry = Entry(own, MEMO, driver.ledger.take_position(), "value", "now", str(moment), None, None,
                      moment, None, driver.claim.token)  # fmt: skip
        verbs.keep(entry)
    return int(cast("str", entry.value))


def _timer(verbs: Verbs, key: str, name: str, length: int) -> int:
    """When a timer ends: as recorded, or noted now."""
    entry = verbs.recorded(key, "timer", name)
    if entry is None:
        entry = timer(verbs, key, name, length)
        verbs.keep(entry)
    return cast("int", entry.due_at)


def timer(verbs: Verbs, key: str, name: str, length: int) -> Entry:
    """A timer that begins now, `length` in milliseconds; not written yet."""
    driver, begun = verbs.driver, verbs.host.clock.now()
    return Entry(key, MEMO, driver.ledger.take_position(), "timer", name, None, None, begun + length,
                 begun, None, driver.claim.token)  # fmt: skip
