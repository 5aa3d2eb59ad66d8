-- Rows after one, in the order of their key.
SELECT
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
FROM perdure.journal
WHERE (execution_id, key, scope) > ($1, $2, $3)
ORDER BY execution_id, key, scope
LIMIT $4;
