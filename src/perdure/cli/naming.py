"""Which execution an id on the command line means: the one that has it, else the only one whose id begins so."""

from __future__ import annotations

from typing import Any, Final

from perdure.app import Perdure
from perdure.cli.problems import Problem
from perdure.engine.handle import Handle

SHORTEST: Final = 8
"""Characters of an id that may stand for it."""
SHOWN: Final = 5


async def named(app: Perdure, given: str) -> Handle[Any]:
    """A handle on the execution that is meant; on what was given where there is none. Raises `Problem` where there are
    several that begin so."""
    handle = app.handle(given)
    if len(given) < SHORTEST or '"' in given or (await app.client.rows([given]))[0] is not None:
        return handle
    found = await app.search(f'id:"{given}*"', limit=SHOWN + 1)
    if len(found.items) < 2:
        return app.handle(found.items[0].id) if found.items else handle
    shown = [f"{each.id} ({each.task_name}, {each.status})" for each in found.items[:SHOWN]]
    more = ", and more" if len(found.items) > SHOWN else ""
    raise Problem(
        2, f"several executions have an id that begins with {given!r}", ", ".join(shown) + more,
        f"more of the id, or all of them: perdure list 'id:{given}*'",
    )  # fmt: skip
