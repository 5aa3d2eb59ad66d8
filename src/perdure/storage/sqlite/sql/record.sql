-- Entries of running executions, each under the token that is given last (R2). The first write of a place wins (R4).
WITH given (
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token, fence
) AS (VALUES {rows:13})
INSERT INTO journal (
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
)
SELECT
    g.execution_id, g.key, g.scope, g.position, g.kind, g.name, g.value, g.failure, g.due_at, g.recorded_at,
    g.started_at, g.token
FROM given AS g CROSS JOIN executions AS e
WHERE e.id = g.execution_id AND e.token = g.fence AND e.status = 'running'
ON CONFLICT DO NOTHING;
