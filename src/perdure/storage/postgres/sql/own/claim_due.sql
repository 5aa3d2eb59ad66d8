-- `outlook`, `choose`, `lease`, `leased` and `passed_over` in one: what may be expected of these queues and whether others
-- hold due work, in each row; behind it what was leased. Where something is to be promoted first, or a suspect may be taken
-- ($6), nothing is leased.
WITH queues AS MATERIALIZED (SELECT q AS name FROM jsonb_array_elements_text($2::jsonb) AS q),
outlook AS MATERIALIZED (
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
        ) AS suspects
),
chosen AS MATERIALIZED (
    SELECT next.id
    FROM outlook AS o CROSS JOIN jsonb_array_elements($3::jsonb) AS lane CROSS JOIN LATERAL (
        SELECT e.priority, e.due_at, e.id FROM perdure.executions AS e
        WHERE e.place = 1 AND e.queue = lane ->> 0 AND e.task_name = lane ->> 1 AND e.due_at <= $1
        ORDER BY e.priority, e.due_at, e.id
        LIMIT $4
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS next
    WHERE o.ready AND NOT o.unpromoted AND NOT (o.suspects AND $6 = 1)
    ORDER BY next.priority, next.due_at, next.id
    LIMIT $4
),
leased AS (
    UPDATE perdure.executions AS e SET
        status = 'running', place = 4, worker_id = $5, token = e.token + 1, crashes = e.crashes + 1,
        started_at = coalesce(e.started_at, $1), waits = NULL, wake_any = NULL, wake_all = NULL, rest_until = NULL,
        wake_signals = NULL
    WHERE e.id = ANY (ARRAY(SELECT id FROM chosen))
    RETURNING
        e.id, e.task_name, e.token, e.generation, e.attempt, e.crashes, e.drifts,
        e.marks > 0 OR e.children_total > 0 OR e.signals > 0 AS journaled,
        e.input, e.failure, e.cancel_reason, e.deadline_at, e.queue, e.priority, e.options, e.version, e.tags, e.trace,
        e.parent_id, e.root_id, e.depth, e.created_at, e.started_at, e.due_at, e.origin
)
SELECT
    o.next_due, o.unpromoted, o.ready, o.suspects,
    o.ready AND (SELECT count(*) < $4 FROM chosen) AND (
        SELECT count(*) FROM (
            SELECT 1 FROM jsonb_array_elements($3::jsonb) AS lane CROSS JOIN LATERAL (
                SELECT 1 FROM perdure.executions AS e
                WHERE e.place = 1 AND e.queue = lane ->> 0 AND e.task_name = lane ->> 1 AND e.due_at <= $1
                LIMIT (SELECT count(*) + 1 FROM chosen)
            ) AS one
        ) AS due
    ) > (SELECT count(*) FROM chosen) AS passed_over,
    leased.*
FROM outlook AS o LEFT JOIN leased ON TRUE;
