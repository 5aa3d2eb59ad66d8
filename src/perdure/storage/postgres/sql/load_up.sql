-- As `load`, with all that is above them. Rows are held from the top down (depth, then id), everywhere: so nobody waits for
-- somebody who waits for him, and who holds what is above holds the tree still.
WITH RECURSIVE chain (id, parent_id) AS (
    SELECT id, parent_id FROM perdure.executions WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1)))
    UNION
    SELECT e.id, e.parent_id FROM chain JOIN perdure.executions AS e ON e.id = chain.parent_id
)
SELECT
    id, status, token, worker_id, generation, attempt, crashes, drifts, due_at, deadline_at, cancel_reason, failure, waits,
    wake_any, wake_all, rest_until, wake_signals, finished_at, closed_at, children_total, children_settled,
    children_closed, marks, signals, stale, progress, parent_id, retention, max_crashes
FROM perdure.executions
WHERE id = ANY (ARRAY(SELECT id FROM chain))
ORDER BY depth, id
FOR NO KEY UPDATE;
