-- What a worker may expect of these queues: when something falls due or passes its deadline next, whether something fell
-- due that was not promoted yet, and whether anything, and any suspect, stands ready.
SELECT
    (
        SELECT min(moment) FROM (
            SELECT (SELECT min(due_at) FROM executions WHERE place = 0 AND queue = value AND due_at > ?1) AS moment
            FROM json_each(?2)
            UNION ALL
            SELECT (
                SELECT min(deadline_at) FROM executions
                WHERE deadline_at IS NOT NULL AND status IN ('pending', 'waiting') AND queue = value AND deadline_at > ?1
            )
            FROM json_each(?2)
        )
    ) AS next_due,
    EXISTS (
        SELECT 1 FROM executions WHERE place = 0 AND queue IN (SELECT value FROM json_each(?2)) AND due_at <= ?1
    ) AS unpromoted,
    EXISTS (SELECT 1 FROM executions WHERE place = 1 AND queue IN (SELECT value FROM json_each(?2))) AS ready,
    EXISTS (SELECT 1 FROM executions WHERE place = 2 AND queue IN (SELECT value FROM json_each(?2))) AS suspects;
