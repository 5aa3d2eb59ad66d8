SELECT
    task_name, queue, status, count(*) AS number,
    min(CASE WHEN status IN ('pending', 'waiting') AND due_at <= ?1 THEN due_at END) AS oldest_due
FROM executions
GROUP BY task_name, queue, status
ORDER BY task_name, queue, status;
