-- Whether there is anything to take back or to settle: the lease of a worker (judged by $2), an execution of an unknown
-- worker, a deadline. An idle store answers no, and is asked nothing more.
WITH RECURSIVE queues (name) AS (
    SELECT min(queue) FROM perdure.executions WHERE deadline_at IS NOT NULL AND status IN ('pending', 'waiting')
    UNION ALL
    SELECT (
        SELECT min(queue) FROM perdure.executions
        WHERE deadline_at IS NOT NULL AND status IN ('pending', 'waiting') AND queue > queues.name
    )
    FROM queues WHERE name IS NOT NULL
)
SELECT
    EXISTS (SELECT 1 FROM perdure.workers WHERE lease_until <= $2)
    OR EXISTS (
        SELECT 1 FROM perdure.executions AS e
        WHERE e.worker_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM perdure.workers AS w WHERE w.id = e.worker_id)
    )
    OR EXISTS (
        SELECT 1 FROM queues JOIN perdure.executions AS e ON e.queue = queues.name
        WHERE e.deadline_at IS NOT NULL AND e.status IN ('pending', 'waiting') AND e.deadline_at <= $1
    ) AS found;
