-- Entries of running executions, each under the token that is given last (R2): their rows are held, so that nobody takes
-- them over before the entries are visible. The first write of a place wins (R4). The condition stands in a CASE so that its
-- subquery is hashed: a join would be one row by one.
WITH given AS MATERIALIZED (
    SELECT
        g ->> 0 AS execution_id, g ->> 1 AS key, g ->> 2 AS scope, (g ->> 3)::integer AS position, g ->> 4 AS kind,
        g ->> 5 AS name, g ->> 6 AS value, g ->> 7 AS failure, (g ->> 8)::bigint AS due_at,
        (g ->> 9)::bigint AS recorded_at, (g ->> 10)::bigint AS started_at, (g ->> 11)::bigint AS token,
        (g ->> 12)::bigint AS fence
    FROM jsonb_array_elements($1::jsonb) AS g
),
held AS MATERIALIZED (
    SELECT id, token FROM perdure.executions
    WHERE id = ANY (ARRAY(SELECT execution_id FROM given)) AND status = 'running'
    ORDER BY depth, id
    FOR NO KEY UPDATE
)
INSERT INTO perdure.journal (
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
)
SELECT
    g.execution_id, g.key, g.scope, g.position, g.kind, g.name, g.value, g.failure, g.due_at, g.recorded_at,
    g.started_at, g.token
FROM given AS g
WHERE CASE WHEN (g.execution_id, g.fence) IN (SELECT id, token FROM held) THEN TRUE END
ON CONFLICT DO NOTHING;
