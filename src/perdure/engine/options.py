"""What may be said about a task, an activity or one call, checked where it is said.

Options of a call travel with the execution as JSON; functions and exception classes cannot, so a call's `retries` must
be plain numbers and its `timeout` a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypedDict, Unpack, cast

from perdure.clock import Duration, instant, seconds
from perdure.errors import ConfigurationError
from perdure.model.policy import Retry, Sizes, retry_policy

Timeout = Duration | Callable[[int], Duration]
RunIn = Literal["loop", "thread", "process"]
OnVersion = Literal["resume", "pin", "fail"]

LIST: Final = "@list"
"""The name of the task behind every task list. No declared task can have it."""
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]{1,255}")
PLAIN_RETRY: Final = ("max_retries", "delay", "factor", "max_delay", "jitter")


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """A task's own options. `retries` `None` means the app's default."""

    aliases: tuple[str, ...] = ()
    queue: str | None = None
    retries: Retry | None = None
    timeout: Timeout | None = None
    deadline: float | None = None
    start_delay: float = 0.0
    priority: int = 0
    validate: Callable[..., Any] | None = None
    retention: float | None = None
    version: str | None = None
    on_version: OnVersion = "resume"
    max_crashes: int = 5


@dataclass(frozen=True, slots=True)
class ActivityOptions:
    """An activity's options. `queue` sends it to other workers as a child execution."""

    retries: Retry = field(default_factory=Retry.none)
    timeout: Timeout | None = None
    memo: Literal["arguments", "call"] = "arguments"
    run_in: RunIn = "loop"
    on_interrupt: Literal["rerun", "fail"] = "rerun"
    durability: Literal["strict", "relaxed"] = "strict"
    queue: str | None = None
    key: str | None = None


class ItemPlace(NamedTuple):
    """Where an item stands: the list, its number, and what tells this run of the list from another one (`preparing`)."""

    list_id: str
    seq: int
    run: str


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Options of one call; `None` leaves the task's own. `retries` as a number leaves the shape of the task's."""

    id: str | None = None
    idempotency_key: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    start_at: int | None = None
    key: str | None = None
    connection: object = None
    queue: str | None = None
    retries: Retry | int | None = None
    timeout: float | None = None
    deadline: float | None = None
    start_delay: float | None = None
    priority: int | None = None
    item: ItemPlace | None = None
    """What this call is an item of; set by the list alone."""

    def stored(self) -> str | None:
        """What must travel with the execution, as JSON; `None` when nothing must."""
        kept: dict[str, object] = {}
        if isinstance(self.retries, Retry):
            kept["retries"] = {name: _plain(getattr(self.retries, name)) for name in PLAIN_RETRY}
        elif self.retries is not None:
            kept["retries"] = {"max_retries": self.retries}
        if self.timeout is not None:
            kept["timeout"] = self.timeout
        if self.item is not None:
            kept["item"] = {"list": self.item.list_id, "seq": self.item.seq, "run": self.item.run}
        return json.dumps(kept) if kept else None


class CodelessSettings(TypedDict, total=False):
    """Keyword options of tasks that run no code of their own."""

    aliases: tuple[str, ...] | list[str]
    queue: str
    deadline: Duration
    start_delay: Duration
    priority: int
    retention: Duration
    version: str
    max_crashes: int


class TaskSettings(TypedDict, total=False):
    """Keyword options of `@app.task`."""

    name: str
    aliases: tuple[str, ...] | list[str]
    queue: str
    retries: int | Retry
    timeout: Timeout
    deadline: Duration
    start_delay: Duration
    priority: int
    validate: Callable[..., object]
    retention: Duration
    version: str
    on_version: OnVersion
    max_crashes: int


class ActivitySettings(TypedDict, total=False):
    """Keyword options of `@app.activity`."""

    name: str
    aliases: tuple[str, ...] | list[str]
    retries: int | Retry
    timeout: Timeout
    memo: Literal["arguments", "call"]
    run_in: RunIn
    on_interrupt: Literal["rerun", "fail"]
    durability: Literal["strict", "relaxed"]
    queue: str


class CallSettings(TypedDict, total=False):
    """Keyword options of `task.options`."""

    id: str
    idempotency_key: str
    tags: Mapping[str, str]
    start_at: datetime
    key: str
    connection: object
    queue: str
    retries: int | Retry
    timeout: Duration
    deadline: Duration
    start_delay: Duration
    priority: int


class ListSettings(TypedDict, total=False):
    """Keyword options of `app.enqueue_list` beside its retries."""

    tags: Mapping[str, str]
    start_at: datetime
    queue: str
    deadline: Duration
    start_delay: Duration
    priority: int


def task_options(what: str, **settings: Unpack[TaskSettings]) -> TaskOptions:
    """Checked options of a task. Raises `ConfigurationError` naming the option and what it may be."""
    checked: dict[str, Any] = dict(settings)
    checked.pop("name", None)
    _known(what, checked, TaskOptions)
    _common(what, checked)
    if "aliases" in checked:
        checked["aliases"] = checked_aliases(what, checked["aliases"])
    if "retention" in checked:
        checked["retention"] = seconds(checked["retention"], f"{what} retention")
    if "version" in checked and not isinstance(checked["version"], str):
        raise ConfigurationError(f"{what} version is {checked['version']!r}; it must be a text")
    _choice(what, checked, "on_version", ("resume", "pin", "fail"))
    if "validate" in checked and not callable(checked["validate"]):
        raise ConfigurationError(f"{what} validate is {checked['validate']!r}; it must be a function")
    _whole(what, checked, "max_crashes", 1, 1_000_000)
    return TaskOptions(**checked)


def activity_options(what: str, **settings: Unpack[ActivitySettings]) -> ActivityOptions:
    """Checked options of an activity. Raises `ConfigurationError` naming the option and what it may be."""
    checked: dict[str, Any] = dict(settings)
    checked.pop("name", None)
    _known(what, checked, ActivityOptions)
    _common(what, checked)
    checked.setdefault("retries", Retry.none())
    _choice(what, checked, "memo", ("arguments", "call"))
    _choice(what, checked, "run_in", ("loop", "thread", "process"))
    _choice(what, checked, "on_interrupt", ("rerun", "fail"))
    _choice(what, checked, "durability", ("strict", "relaxed"))
    return ActivityOptions(**checked)


def call_options(what: str, before: CallOptions, sizes: Sizes, **settings: Unpack[CallSettings]) -> CallOptions:
    """`before` with these options of a call over it. Raises `ConfigurationError` naming the option."""
    checked: dict[str, Any] = dict(settings)
    _known(what, checked, CallOptions)
    given = checked.get("retries")
    if isinstance(given, Retry):
        _storable(what, given)
    if callable(checked.get("timeout")):
        raise ConfigurationError(f"{what} timeout of a call must be a number; declare a function on the task")
    _common(what, checked)
    if given is not None and not isinstance(given, Retry):  # checked by now: a number
        checked["retries"] = replace(before.retries, max_retries=given) if isinstance(before.retries, Retry) else given
    for name in ("id", "idempotency_key", "key"):
        if name in checked:
            checked[name] = _text(f"{what} {name}", checked[name], sizes.name)
    if "tags" in checked:
        checked["tags"] = _tags(what, checked["tags"], sizes)
    if "start_at" in checked:
        checked["start_at"] = _instant(what, checked["start_at"])
    return replace(before, **checked)


def checked_name(what: str, name: object) -> str:
    """A name of a task, activity or queue. Raises `ConfigurationError` for anything but 1-255 of [A-Za-z0-9_.-]."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise ConfigurationError(f"{what} name is {name!r}; it must be 1 to 255 letters, digits, '_', '.' or '-'")


def checked_aliases(what: str, aliases: object) -> tuple[str, ...]:
    """Old names of a task or activity. Raises `ConfigurationError` for what is no list of names."""
    if not isinstance(aliases, tuple | list):
        raise ConfigurationError(f"{what} aliases are {aliases!r}; they must be a list of names")
    return tuple(checked_name(f"{what} alias", alias) for alias in cast("list[object]", aliases))


def call_retries(changed: Retry, own: Retry | None) -> Retry | int:
    """A policy as a call may carry it: as a number where it is the task's own but for that. The rest need not travel, and
    may hold functions and classes."""
    number = changed.max_retries
    return number if own is not None and number is not None and replace(own, max_retries=number) == changed else changed


@lru_cache(maxsize=256)
def stored_options(text: str | None) -> Mapping[str, Any]:
    """What `CallOptions.stored` wrote. A pass asks for it several times, and calls of one place have equal options."""
    return MappingProxyType(json.loads(text)) if text else NOTHING


def merged_retry(stored: Mapping[str, Any] | None, own: Retry) -> Retry:
    """A task's policy with what one call said over it."""
    return own if stored is None else replace(own, **stored)


def _common(what: str, checked: dict[str, Any]) -> None:
    if "queue" in checked:
        checked_name(f"{what} queue", checked["queue"])
    if "retries" in checked:
        checked["retries"] = retry_policy(checked["retries"], Retry(), f"{what} retries")
    timeout = checked.get("timeout")
    if timeout is not None and not callable(timeout):
        checked["timeout"] = seconds(timeout, f"{what} timeout", least=1e-3)
    if checked.get("deadline") is not None:
        checked["deadline"] = seconds(checked["deadline"], f"{what} deadline", least=1e-3)
    if checked.get("start_delay") is not None:
        checked["start_delay"] = seconds(checked["start_delay"], f"{what} start_delay")
    _whole(what, checked, "priority", -(2**31), 2**31 - 1)


def _known(what: str, checked: Mapping[str, object], options: type) -> None:
    names = [each.name for each in fields(cast("Any", options)) if each.name != "item"]
    for name in checked:
        if name not in names:
            raise ConfigurationError(f"{what} has no option {name!r}; options are {', '.join(sorted(names))}")


def _choice(what: str, checked: Mapping[str, object], name: str, allowed: tuple[str, ...]) -> None:
    if name in checked and checked[name] not in allowed:
        raise ConfigurationError(f"{what} {name} is {checked[name]!r}; it must be one of {', '.join(allowed)}")


def _whole(what: str, checked: Mapping[str, object], name: str, low: int, high: int) -> None:
    value = checked.get(name)
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigurationError(f"{what} {name} is {value!r}; it must be a whole number from {low} to {high}")


def _text(what: str, value: object, longest: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise ConfigurationError(f"{what} is {value!r}; it must be a text of 1 to {longest} characters")
    if not value.isprintable():
        raise ConfigurationError(f"{what} is {value!r}; it must hold printable characters only")
    return value


def _tags(what: str, value: object, sizes: Sizes) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping) or len(cast("Mapping[object, object]", value)) > sizes.tags:
        raise ConfigurationError(f"{what} tags are {value!r}; they must be a mapping of at most {sizes.tags} texts")
    pairs = cast("Mapping[object, object]", value).items()
    return tuple((_text(f"{what} tag", k, sizes.name), _text(f"{what} tag {k}", v, sizes.name)) for k, v in pairs)


def _instant(what: str, value: object) -> int:
    if not isinstance(value, datetime):
        raise ConfigurationError(f"{what} start_at is {value!r}; it must be an aware datetime")
    return instant(value, f"{what} start_at")


def _storable(what: str, policy: Retry) -> None:
    plain = Retry()
    if callable(policy.delay) or policy.retry_on != plain.retry_on or policy.give_up_on != plain.give_up_on:
        raise ConfigurationError(
            f"{what} retries of a call cannot hold functions or exception classes; declare them on the task"
        )


def _plain(value: object) -> object:
    return value.total_seconds() if isinstance(value, timedelta) else value
