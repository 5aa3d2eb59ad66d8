-- In the order in which they went in.
SELECT parent_id, id, slot, slot_generation, task_name, status, stale, result, failure, created_at
FROM executions
WHERE parent_id IN (SELECT value FROM json_each(?1))
ORDER BY rowid;
