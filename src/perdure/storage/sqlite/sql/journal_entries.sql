SELECT
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
FROM journal
WHERE execution_id IN (SELECT value FROM json_each(?1));
