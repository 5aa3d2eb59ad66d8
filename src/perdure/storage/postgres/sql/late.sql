-- What is past its deadline and not running.
WITH RECURSIVE queues (name) AS (
    SELECT min(queue) FROM perdure.executions WHERE deadline_at IS NOT NULL AND status IN ('pending', 'waiting')
    UNION ALL
    SELECT (
        SELECT min(queue) FROM perdure.executions
        WHERE deadline_at IS NOT NULL AND status IN ('pending', 'waiting') AND queue > queues.name
    )
    FROM queues WHERE name IS NOT NULL
)
SELECT e.id
FROM queues JOIN perdure.executions AS e ON e.queue = queues.name
WHERE e.deadline_at IS NOT NULL AND e.status IN ('pending', 'waiting') AND e.deadline_at <= $1
LIMIT $2;
