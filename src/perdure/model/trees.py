"""How a tree stands in a store: the `Spawn` of its parent as one entry, each child in a slot by its index, the finalizer last.

The style writes it and the invariants read it, so both have it from here. Payloads in it stay what they are. This module
must never decide what is run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from perdure.model.records import MEMO, Entry

SPAWN: Final = "spawn"
"""Key and name of the entry."""
FINALIZE: Final = "#finalize"
"""The slot of the child that combines the others."""


class Plan(msgspec.Struct, omit_defaults=True):
    """A stored `Spawn`: its output (wrapped), how many children, the explicit keys of some, and of those that could not
    start at once what they are, at rest. `origin` is the execution that recorded it: a fork finds the inputs below that one."""

    output: msgspec.Raw
    origin: str
    count: int = 0
    keys: dict[int, str] = {}
    later: dict[int, msgspec.Raw] = {}

    def slot(self, index: int) -> str:
        """The place of a child. No task is named so, so that no alias meets it."""
        key = self.keys.get(index)
        return f"#{index}" if key is None else f"#{index}={key}"

    def text(self) -> str:
        """As the value of an entry."""
        return msgspec.json.encode(self).decode()


plan_of = msgspec.json.Decoder(Plan).decode
"""The plan that an entry's value holds."""


def planned(entries: Iterable[Entry]) -> Plan | None:
    """The plan in a journal, if it is that of a tree."""
    for entry in entries:
        if entry.key == SPAWN and entry.scope == MEMO and entry.kind == "value" and entry.value is not None:
            return plan_of(entry.value)
    return None
