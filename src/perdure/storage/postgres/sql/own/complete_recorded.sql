-- As `complete_alone`, with the entries of those that complete by it.
WITH given AS (
    SELECT
        g ->> 0 AS id, (g ->> 1)::bigint AS token, g ->> 2 AS result
    FROM jsonb_array_elements($1::jsonb) AS g
),
completed AS (
    UPDATE perdure.executions AS e SET
        status = 'completed', place = 5, worker_id = NULL, crashes = 0, drifts = 0, due_at = NULL, failure = NULL,
        finished_at = $2, closed_at = $2, expires_at = $2 + e.retention,
        result = given.result
    FROM given
    WHERE e.id = ANY (ARRAY(SELECT id FROM given)) AND e.id = given.id AND e.token = given.token AND e.status = 'running'
        AND e.parent_id IS NULL AND e.children_total = 0 AND e.cancel_reason IS NULL
    RETURNING e.id
),
entries AS (
    SELECT
        g ->> 0 AS execution_id, g ->> 1 AS key, g ->> 2 AS scope, (g ->> 3)::integer AS position, g ->> 4 AS kind,
        g ->> 5 AS name, g ->> 6 AS value, g ->> 7 AS failure, (g ->> 8)::bigint AS due_at,
        (g ->> 9)::bigint AS recorded_at, (g ->> 10)::bigint AS started_at, (g ->> 11)::bigint AS token
    FROM jsonb_array_elements($3::jsonb) AS g
),
recorded AS (
    INSERT INTO perdure.journal (
        execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
    )
    SELECT
        g.execution_id, g.key, g.scope, g.position, g.kind, g.name, g.value, g.failure, g.due_at, g.recorded_at,
        g.started_at, g.token
    FROM entries AS g
    WHERE CASE WHEN g.execution_id IN (SELECT id FROM completed) THEN TRUE END
    ON CONFLICT DO NOTHING
)
SELECT id FROM completed;
