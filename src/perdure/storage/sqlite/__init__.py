"""Executions in one SQLite file: `SQLiteStorage`.

`storage` has the operations; `database` owns the file's connections (one writer, some readers), `session` runs the
statements of the `sql` folder, `checkpoints` moves the write-ahead log into the file without waking a bug of older
SQLites, `liveness` sees the death of other workers on this host, `hints` tells other processes of changes, `failures`
says what an error of SQLite means and what to do.

Whoever opens the same file in another way (a shell, a backup through SQLite's own interface) does no harm. Nothing here
opens, copies or closes the database file by itself: closing any descriptor of it would drop SQLite's locks.
"""

from perdure.storage.sqlite.storage import SQLiteStorage

__all__ = ["SQLiteStorage"]
