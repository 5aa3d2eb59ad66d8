-- Entries that come with a new execution (a fork): nobody can run it yet.
WITH given (execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token)
    AS (VALUES {rows:12})
INSERT INTO journal (
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
)
SELECT * FROM given WHERE execution_id IS NOT NULL
ON CONFLICT DO NOTHING;
