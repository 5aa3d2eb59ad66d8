-- Running executions that completed, each under its token (R2).
WITH given AS (
    SELECT
        g ->> 0 AS id, (g ->> 1)::bigint AS token, g ->> 2 AS result
    FROM jsonb_array_elements($1::jsonb) AS g
)
UPDATE perdure.executions AS e SET
    status = 'completed', place = 5, worker_id = NULL, crashes = 0, drifts = 0, due_at = NULL, failure = NULL,
    cancel_reason = NULL, finished_at = $2,
    closed_at = CASE WHEN e.children_closed = e.children_total THEN $2::bigint END,
    expires_at = CASE WHEN e.children_closed = e.children_total AND e.parent_id IS NULL THEN $2 + e.retention END,
    result = given.result
FROM given
WHERE e.id = ANY (ARRAY(SELECT id FROM given)) AND e.id = given.id AND e.token = given.token AND e.status = 'running';
