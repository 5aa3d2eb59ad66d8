-- Work of these queues that fell due since anybody looked; at most so many, and none that somebody else holds.
UPDATE perdure.executions SET place = CASE WHEN crashes >= 2 THEN 2 ELSE 1 END
WHERE id = ANY (ARRAY(
    SELECT e.id FROM jsonb_array_elements_text($2::jsonb) AS q CROSS JOIN LATERAL (
        SELECT id FROM perdure.executions
        WHERE place = 0 AND queue = q AND due_at <= $1
        ORDER BY due_at
        LIMIT $3
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS e
));
