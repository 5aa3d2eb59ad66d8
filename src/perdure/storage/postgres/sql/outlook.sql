-- What a worker may expect of these queues: when something falls due or passes its deadline next, whether something fell
-- due that was not promoted yet, and whether anything, and any suspect, stands ready.
WITH queues AS MATERIALIZED (SELECT q AS name FROM jsonb_array_elements_text($2::jsonb) AS q)
SELECT
    (
        SELECT min(least(
            (SELECT min(e.due_at) FROM perdure.executions AS e
             WHERE e.place = 0 AND e.queue = queues.name AND e.due_at > $1),
            (SELECT min(e.deadline_at) FROM perdure.executions AS e
             WHERE e.deadline_at IS NOT NULL AND e.status IN ('pending', 'waiting') AND e.queue = queues.name
                 AND e.deadline_at > $1)
        )) FROM queues
    ) AS next_due,
    EXISTS (
        SELECT 1 FROM queues CROSS JOIN LATERAL (
            SELECT 1 FROM perdure.executions AS e WHERE e.place = 0 AND e.queue = queues.name AND e.due_at <= $1 LIMIT 1
        ) AS one
    ) AS unpromoted,
    EXISTS (
        SELECT 1 FROM queues CROSS JOIN LATERAL (
            SELECT 1 FROM perdure.executions AS e WHERE e.place = 1 AND e.queue = queues.name LIMIT 1
        ) AS one
    ) AS ready,
    EXISTS (
        SELECT 1 FROM queues CROSS JOIN LATERAL (
            SELECT 1 FROM perdure.executions AS e WHERE e.place = 2 AND e.queue = queues.name LIMIT 1
        ) AS one
    ) AS suspects;
