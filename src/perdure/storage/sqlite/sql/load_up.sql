-- As `load`, with the parents.
SELECT
    id, status, token, worker_id, generation, attempt, crashes, drifts, due_at, deadline_at, cancel_reason, failure, waits,
    wake_any, wake_all, rest_until, wake_signals, finished_at, closed_at, children_total, children_settled,
    children_closed, marks, signals, stale, progress, parent_id, retention, max_crashes, created_at
FROM executions
WHERE id IN (
    SELECT value FROM json_each(?1)
    UNION
    SELECT e.parent_id FROM json_each(?1) AS given CROSS JOIN executions AS e WHERE e.id = given.value
);
