-- Counts by task, queue and status. Each part reads one index and nothing else; only what runs is looked up, and that is
-- little.
SELECT task_name, queue, status, sum(number) AS number, min(oldest) AS oldest_due FROM (
    SELECT task_name, queue, status, count(*) AS number, NULL AS oldest
    FROM executions WHERE finished_at IS NOT NULL
    GROUP BY task_name, queue, status
    UNION ALL
    SELECT task_name, queue, status, count(*), min(CASE WHEN due_at <= ?1 THEN due_at END)
    FROM executions WHERE ready = 1
    GROUP BY queue, task_name, status
    UNION ALL
    SELECT task_name, queue, status, count(*), min(CASE WHEN due_at <= ?1 THEN due_at END)
    FROM executions WHERE ready = 2
    GROUP BY queue, task_name, status
    UNION ALL
    SELECT task_name, queue, status, count(*), min(CASE WHEN due_at <= ?1 THEN due_at END)
    FROM executions WHERE ready = 0
    GROUP BY queue, task_name, status
    UNION ALL
    SELECT task_name, queue, 'waiting', count(*), NULL
    FROM executions WHERE status = 'waiting' AND due_at IS NULL
    GROUP BY task_name, queue
    UNION ALL
    SELECT task_name, queue, status, count(*), NULL
    FROM executions WHERE worker_id IS NOT NULL
    GROUP BY task_name, queue, status
)
GROUP BY task_name, queue, status
ORDER BY task_name, queue, status;
