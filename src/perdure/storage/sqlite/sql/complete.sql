-- Running executions that completed, each under its token (R2).
WITH given (id, token, result) AS (VALUES {rows:3})
UPDATE executions SET
    status = 'completed', place = 5, worker_id = NULL, crashes = 0, drifts = 0, due_at = NULL, failure = NULL, cancel_reason = NULL,
    finished_at = ?1,
    closed_at = CASE WHEN children_closed = children_total THEN ?1 END,
    expires_at = CASE WHEN children_closed = children_total AND parent_id IS NULL THEN ?1 + retention END,
    result = given.result
FROM given
WHERE executions.id = given.id AND executions.token = given.token AND executions.status = 'running';
