"""What tasks prepare for their items in a task list: once per list, task and worker, and in memory only.

A prepare is no part of the journal: it runs as the body of an activity does, so that durable verbs are refused and the
execution is not suspended meanwhile. What it returned goes with its worker; another one, or the next, prepares anew.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias, cast
from weakref import WeakKeyDictionary

from perdure.engine.context import Context
from perdure.engine.ports import Host
from perdure.engine.scope import Scope, current
from perdure.engine.signature import Signature
from perdure.engine.task import Task
from perdure.engine.verbs import Verbs
from perdure.model.records import Claim

MOST: Final = 1000
"""So many values one worker keeps; beyond that the oldest are let go, and prepared again if need be."""
Kept: TypeAlias = OrderedDict[tuple[str, str, str], object]
_by_worker: Final[WeakKeyDictionary[Host, Kept]] = WeakKeyDictionary()


def run_of(claim: Claim) -> str:
    """What tells a list from itself after a retry by hand, and from a later one of its id."""
    return f"{claim.created_at}.{claim.generation}"


async def prepare(verbs: Verbs, task: Task[..., Any], list_id: str, run: str) -> object:
    """What the task prepares for the items of a list here, anew for each `run` of that list; `None` where it declares
    nothing. Raises what that raises."""
    if task.preparing.function is None:
        return None
    kept, key = _by_worker.setdefault(verbs.host, OrderedDict()), (list_id, run, task.name)
    if key not in kept:
        kept[key] = await _prepared(verbs, task)
        while len(kept) > MOST:
            kept.popitem(last=False)
    return kept.get(key)


def forget(host: Host, list_id: str) -> None:
    """The list is over: what was prepared for it is let go."""
    kept = _by_worker.get(host)
    for key in [key for key in kept or () if key[0] == list_id]:
        del cast("Kept", kept)[key]


async def _prepared(verbs: Verbs, task: Task[..., Any]) -> object:
    scope = verbs.scope
    token = current.set(verbs.activity_scope(f"{task.name}.prepare"))
    verbs.driver.busy += 1
    try:
        return await _called(verbs, task, scope)
    finally:
        current.reset(token)
        verbs.driver.idle()


async def _called(verbs: Verbs, task: Task[..., Any], scope: Scope) -> object:
    function = cast("Callable[..., Any]", task.preparing.function)
    wanted = cast("Signature", task.preparing.signature).context_name
    context = scope.context if wanted == "BlockingContext" else Context(verbs)
    given = () if wanted is None else (context,)
    if inspect.iscoroutinefunction(function):
        return await function(*given)
    return await verbs.host.in_thread(partial(function, *given), body=False)
