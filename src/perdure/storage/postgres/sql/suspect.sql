-- The next due execution that crashed twice or more and that nobody else holds.
SELECT priority, due_at, id, id AS ref FROM perdure.executions
WHERE place = 2 AND queue = ANY (ARRAY(SELECT jsonb_array_elements_text($2::jsonb)))
    AND task_name = ANY (ARRAY(SELECT jsonb_array_elements_text($3::jsonb))) AND due_at <= $1
ORDER BY priority, due_at, id
LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED;
