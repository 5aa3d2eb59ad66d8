"""`LogContext`: the ids of the execution that is running, on the records of any logger.

`ctx.logger` carries them by itself. This is for everybody else's loggers, also those of libraries that know nothing of
Perdure: what they log inside a body, or inside an activity, in whichever thread, says for which execution.
"""

from __future__ import annotations

import logging
from typing import Final, cast

from perdure.engine.context import About
from perdure.engine.scope import current

NOWHERE: Final[dict[str, str | int]] = {"execution_id": "", "task": "", "attempt": "", "activity": ""}


class LogContext(logging.Filter):
    """Gives each record `execution_id`, `task`, `attempt` and `activity`, empty where none runs; what a record has already is kept.

    It drops nothing. It belongs on a handler: `handler.addFilter(LogContext())`; on a logger it would miss the records of
    those below it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Adds them."""
        for name, value in self.ids().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True

    @staticmethod
    def ids() -> dict[str, str | int]:
        """What records get here and now, by name; for loggers that are not of the standard library."""
        scope = current.get()
        if scope is None:
            return dict(NOWHERE)
        about = cast("About", scope.context)
        return {
            "execution_id": about.execution_id, "task": about.task_name, "attempt": about.attempt,
            "activity": scope.activity or "",
        }  # fmt: skip
