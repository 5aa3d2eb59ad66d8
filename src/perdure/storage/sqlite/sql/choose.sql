-- The next due work of some lanes, merged in order; no suspects.
{each:2:SELECT priority, due_at, id, rowid AS ref FROM executions
WHERE place = 1 AND queue = ? AND task_name = ? AND due_at <= ?1:UNION ALL}
ORDER BY 1, 2, 3
LIMIT ?2;
