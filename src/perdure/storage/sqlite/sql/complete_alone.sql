-- As `complete`, of executions that concern nobody else: no parent, no children, no cancel.
WITH given (id, token, result) AS (VALUES {rows:3})
UPDATE executions SET
    status = 'completed', place = 5, worker_id = NULL, crashes = 0, drifts = 0, due_at = NULL, failure = NULL,
    finished_at = ?1, closed_at = ?1, expires_at = ?1 + retention,
    result = given.result
FROM given
WHERE executions.id = given.id AND executions.token = given.token AND executions.status = 'running'
    AND executions.parent_id IS NULL AND executions.children_total = 0 AND executions.cancel_reason IS NULL;
