-- As `load`, with their parents and roots. Rows are held from the top down (depth, then id), everywhere: so nobody waits for
-- somebody who waits for him, and who holds the root holds the tree still.
WITH given AS MATERIALIZED (
    SELECT id, parent_id, root_id FROM perdure.executions
    WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)))
)
SELECT
    id, status, token, worker_id, generation, attempt, crashes, drifts, due_at, deadline_at, cancel_reason, failure, waits,
    wake_any, wake_all, rest_until, wake_signals, finished_at, closed_at, children_total, children_settled,
    children_closed, marks, signals, stale, progress, parent_id, retention, max_crashes, created_at
FROM perdure.executions
WHERE id = ANY (ARRAY(
    SELECT id FROM given UNION SELECT parent_id FROM given WHERE parent_id IS NOT NULL UNION SELECT root_id FROM given
))
ORDER BY depth, id
FOR NO KEY UPDATE;
