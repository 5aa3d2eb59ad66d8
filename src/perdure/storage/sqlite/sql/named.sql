-- Idle executions that a worker asks for by id, due or not.
SELECT priority, due_at, id, rowid AS ref, crashes FROM executions
WHERE id IN (SELECT value FROM json_each(?1)) AND status IN ('pending', 'waiting');
