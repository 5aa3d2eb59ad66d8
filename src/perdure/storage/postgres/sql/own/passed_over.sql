-- Whether due work stands in these queues for these tasks, held by whomever.
SELECT EXISTS (
    SELECT 1 FROM jsonb_array_elements_text($2::jsonb) AS q CROSS JOIN jsonb_array_elements_text($3::jsonb) AS t CROSS JOIN LATERAL (
        SELECT 1 FROM perdure.executions AS e
        WHERE e.place = 1 AND e.queue = q AND e.task_name = t AND e.due_at <= $1 LIMIT 1
    ) AS one
) AS found;
