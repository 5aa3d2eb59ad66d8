-- When something in these queues falls due or passes its deadline next.
SELECT min(moment) AS moment FROM (
    SELECT (SELECT min(due_at) FROM executions WHERE place = 0 AND queue = value AND due_at > ?1) AS moment
    FROM json_each(?2)
    UNION ALL
    SELECT (
        SELECT min(deadline_at) FROM executions
        WHERE deadline_at IS NOT NULL AND status IN ('pending', 'waiting') AND queue = value AND deadline_at > ?1
    )
    FROM json_each(?2)
);
