"""Executions in a PostgreSQL database: `PostgresStorage`.

`storage` has the operations; `place` reads the URL; `database` owns the connections of this process and repeats what others
got in the way of, `link` is one connection, `session` runs the statements of the `sql` folder, `hints` tells other
processes of changes, hears them, and is the session by whose end others see that a worker is dead (`liveness`), `failures`
says what an error of the server means and what to do.

No state is kept in a session of the server that may be a pooler's, so one may stand in between that gives each transaction
another one; plans and settings are kept where hints have proven that it is ours. Many write at once: every plan holds the
rows that it read before it changes them, from the top of a tree down, and the root first where it may change the tree. Only
the hints need a session of their own, and are optional.
"""

from perdure.storage.postgres.storage import PostgresStorage

__all__ = ["PostgresStorage"]
