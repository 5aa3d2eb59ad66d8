-- What a change of executions needs to know of them. They are held from now on.
SELECT
    id, status, token, worker_id, generation, attempt, crashes, drifts, due_at, deadline_at, cancel_reason, failure, waits,
    wake_any, wake_all, rest_until, wake_signals, finished_at, closed_at, children_total, children_settled,
    children_closed, marks, signals, stale, progress, parent_id, retention, max_crashes, created_at
FROM perdure.executions
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)))
ORDER BY depth, id
FOR NO KEY UPDATE;
