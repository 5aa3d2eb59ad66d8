-- The next due work of some lanes (queue, task), merged in order; no suspects, and nothing that somebody else holds. What
-- it answers is held by this transaction.
SELECT next.priority, next.due_at, next.id, next.id AS ref
FROM jsonb_array_elements($1::jsonb) AS lane CROSS JOIN LATERAL (
    SELECT e.priority, e.due_at, e.id FROM perdure.executions AS e
    WHERE e.place = 1 AND e.queue = lane ->> 0 AND e.task_name = lane ->> 1 AND e.due_at <= $2
    ORDER BY e.priority, e.due_at, e.id
    LIMIT $3
    FOR NO KEY UPDATE SKIP LOCKED
) AS next
ORDER BY next.priority, next.due_at, next.id
LIMIT $3;
