-- Signals that were taken stay taken, though their entries answer nothing any more. Whoever forgets a signal twice leaves
-- the later one aside.
WITH aside AS (
    DELETE FROM perdure.journal
    WHERE execution_id = $1 AND name = $2 AND kind = 'signal' AND scope = '' AND value IS NOT NULL AND token > 0
    RETURNING *
)
INSERT INTO perdure.journal (
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
)
SELECT
    execution_id, key, 'forgotten ' || position::text, position, kind, name, value, failure, due_at, recorded_at, started_at, token
FROM aside
ON CONFLICT (execution_id, key, scope) DO UPDATE SET
    name = excluded.name, value = excluded.value, failure = excluded.failure, due_at = excluded.due_at,
    recorded_at = excluded.recorded_at, started_at = excluded.started_at, token = excluded.token;
