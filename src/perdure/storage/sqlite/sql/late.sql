-- What is past its deadline and not running.
WITH RECURSIVE queues (name) AS (
    SELECT min(queue) FROM executions WHERE deadline_at IS NOT NULL AND status IN ('pending', 'waiting')
    UNION ALL
    SELECT (
        SELECT min(queue) FROM executions
        WHERE deadline_at IS NOT NULL AND status IN ('pending', 'waiting') AND queue > queues.name
    )
    FROM queues WHERE name IS NOT NULL
)
SELECT id
FROM queues CROSS JOIN executions
WHERE queue = queues.name AND deadline_at IS NOT NULL AND status IN ('pending', 'waiting') AND deadline_at <= ?1
LIMIT ?2;
