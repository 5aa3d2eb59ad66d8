-- `look`, `record` and `proceed` in one: entries of executions that go on running, each under its token; answers what was
-- found. The conditions stand in a CASE so that their subqueries are hashed: a join would be one row by one.
WITH asked AS MATERIALIZED (
    SELECT
        g ->> 0 AS id, (g ->> 1)::bigint AS token
    FROM jsonb_array_elements($1::jsonb) AS g
),
held AS MATERIALIZED (
    SELECT id, status, token, cancel_reason IS NOT NULL AS cancelled, crashes <> 0 OR marks & 1 = 0 AS fresh
    FROM perdure.executions
    WHERE id = ANY (ARRAY(SELECT id FROM asked))
    ORDER BY depth, id
    FOR NO KEY UPDATE
),
entries AS MATERIALIZED (
    SELECT
        g ->> 0 AS execution_id, g ->> 1 AS key, g ->> 2 AS scope, (g ->> 3)::integer AS position, g ->> 4 AS kind,
        g ->> 5 AS name, g ->> 6 AS value, g ->> 7 AS failure, (g ->> 8)::bigint AS due_at,
        (g ->> 9)::bigint AS recorded_at, (g ->> 10)::bigint AS started_at, (g ->> 11)::bigint AS token,
        (g ->> 12)::bigint AS fence
    FROM jsonb_array_elements($2::jsonb) AS g
),
recorded AS (
    INSERT INTO perdure.journal (
        execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
    )
    SELECT
        execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
    FROM entries
    WHERE CASE WHEN (execution_id, fence) IN (SELECT id, token FROM held WHERE status = 'running') THEN TRUE END
    ON CONFLICT DO NOTHING
),
proceeded AS (
    UPDATE perdure.executions AS e SET crashes = 0, marks = e.marks | 1
    WHERE e.id = ANY (ARRAY(
        SELECT id FROM held
        WHERE fresh AND status = 'running'
            AND CASE WHEN (id, token) IN (SELECT execution_id, fence FROM entries) THEN TRUE END
    ))
)
SELECT id, status, token, cancelled, fresh FROM held;
