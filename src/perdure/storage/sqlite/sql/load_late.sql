-- As `load`, of what is past its deadline and not running.
WITH RECURSIVE queues (name) AS (
    SELECT min(queue) FROM executions WHERE deadline_at IS NOT NULL AND status IN ('pending', 'waiting')
    UNION ALL
    SELECT (
        SELECT min(queue) FROM executions
        WHERE deadline_at IS NOT NULL AND status IN ('pending', 'waiting') AND queue > queues.name
    )
    FROM queues WHERE name IS NOT NULL
)
SELECT
    id, status, token, worker_id, generation, attempt, crashes, drifts, due_at, deadline_at, cancel_reason, failure, waits,
    wake_any, wake_all, rest_until, wake_signals, finished_at, closed_at, children_total, children_settled,
    children_closed, marks, signals, stale, progress, parent_id, retention, max_crashes
FROM queues CROSS JOIN executions
WHERE queue = queues.name AND deadline_at IS NOT NULL AND status IN ('pending', 'waiting') AND deadline_at <= ?1
LIMIT ?2;
