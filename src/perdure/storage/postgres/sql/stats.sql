-- Counts by task, queue and status.
WITH due (task_name, queue, number, waiting, oldest, oldest_waiting) AS MATERIALIZED (
    SELECT
        task_name, queue, count(*), count(*) FILTER (WHERE status = 'waiting'),
        min(due_at) FILTER (WHERE status = 'pending' AND due_at <= $1),
        min(due_at) FILTER (WHERE status = 'waiting' AND due_at <= $1)
    FROM perdure.executions WHERE place = 1
    GROUP BY queue, task_name
    UNION ALL
    SELECT
        task_name, queue, count(*), count(*) FILTER (WHERE status = 'waiting'),
        min(due_at) FILTER (WHERE status = 'pending' AND due_at <= $1),
        min(due_at) FILTER (WHERE status = 'waiting' AND due_at <= $1)
    FROM perdure.executions WHERE place = 2
    GROUP BY queue, task_name
    UNION ALL
    SELECT
        task_name, queue, count(*), count(*) FILTER (WHERE status = 'waiting'),
        min(due_at) FILTER (WHERE status = 'pending' AND due_at <= $1),
        min(due_at) FILTER (WHERE status = 'waiting' AND due_at <= $1)
    FROM perdure.executions WHERE place = 0
    GROUP BY queue, task_name
)
SELECT task_name, queue, status, sum(number)::bigint AS number, min(oldest) AS oldest_due FROM (
    SELECT task_name, queue, 'completed' AS status, count(*) AS number, NULL::bigint AS oldest
    FROM perdure.executions WHERE place = 5
    GROUP BY task_name, queue
    UNION ALL
    SELECT task_name, queue, status, count(*), NULL
    FROM perdure.executions WHERE place = 6
    GROUP BY task_name, queue, status
    UNION ALL
    SELECT task_name, queue, 'pending', number - waiting, oldest FROM due
    UNION ALL
    SELECT task_name, queue, 'waiting', waiting, oldest_waiting FROM due
    UNION ALL
    SELECT task_name, queue, 'waiting', count(*), NULL
    FROM perdure.executions WHERE place = 3
    GROUP BY task_name, queue
    UNION ALL
    SELECT task_name, queue, status, count(*), NULL
    FROM perdure.executions WHERE worker_id IS NOT NULL
    GROUP BY task_name, queue, status
) AS counted
WHERE number > 0
GROUP BY task_name, queue, status
ORDER BY task_name, queue, status;
