-- Rows of another store, as they stood there.
WITH given (
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
) AS (VALUES {rows:12})
INSERT INTO journal (
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
)
SELECT
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
FROM given
WHERE execution_id IS NOT NULL;
