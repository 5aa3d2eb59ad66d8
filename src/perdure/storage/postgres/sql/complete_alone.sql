-- As `complete`, of executions that concern nobody else: no parent, no children, no cancel. Answers which it were.
WITH given AS (
    SELECT
        g ->> 0 AS id, (g ->> 1)::bigint AS token, g ->> 2 AS result
    FROM jsonb_array_elements($1::jsonb) AS g
)
UPDATE perdure.executions AS e SET
    status = 'completed', place = 5, worker_id = NULL, crashes = 0, drifts = 0, due_at = NULL, failure = NULL,
    finished_at = $2, closed_at = $2, expires_at = $2 + e.retention,
    result = given.result
FROM given
WHERE e.id = ANY (ARRAY(SELECT id FROM given)) AND e.id = given.id AND e.token = given.token AND e.status = 'running'
    AND e.parent_id IS NULL AND e.children_total = 0 AND e.cancel_reason IS NULL
RETURNING e.id;
