-- The next due execution that crashed twice or more.
SELECT priority, due_at, id, rowid AS ref FROM executions
WHERE place = 2 AND queue IN (SELECT value FROM json_each(?2)) AND task_name IN (SELECT value FROM json_each(?3))
    AND due_at <= ?1
ORDER BY priority, due_at, id
LIMIT 1;
