-- Rows made from now on come after this one.
SELECT coalesce(max(rowid), 0) AS place FROM executions;
