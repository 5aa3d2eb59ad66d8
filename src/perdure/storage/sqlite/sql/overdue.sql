-- Whether there is anything to take back or to settle: the lease of a worker (judged by ?2), an execution of an unknown worker, a
-- deadline. An idle store answers no, and is asked nothing more.
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
    EXISTS (SELECT 1 FROM workers WHERE lease_until <= ?2)
    OR EXISTS (SELECT 1 FROM executions WHERE worker_id IS NOT NULL AND worker_id NOT IN (SELECT id FROM workers))
    OR EXISTS (
        SELECT 1 FROM queues CROSS JOIN executions
        WHERE queue = queues.name AND deadline_at IS NOT NULL AND status IN ('pending', 'waiting') AND deadline_at <= ?1
    );
