-- As `load`, of what is open below an execution; closed subtrees are passed over.
WITH RECURSIVE below (id) AS (
    SELECT id FROM perdure.executions WHERE parent_id = $1 AND closed_at IS NULL
    UNION ALL
    SELECT e.id FROM below JOIN perdure.executions AS e ON e.parent_id = below.id AND e.closed_at IS NULL
)
SELECT
    id, status, token, worker_id, generation, attempt, crashes, drifts, due_at, deadline_at, cancel_reason, failure, waits,
    wake_any, wake_all, rest_until, wake_signals, finished_at, closed_at, children_total, children_settled,
    children_closed, marks, signals, stale, progress, parent_id, retention, max_crashes, created_at
FROM perdure.executions
WHERE id = ANY (ARRAY(SELECT id FROM below))
ORDER BY depth, id
FOR NO KEY UPDATE;
