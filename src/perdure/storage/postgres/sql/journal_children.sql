-- In the order in which they went in.
SELECT parent_id, id, slot, slot_generation, task_name, status, stale, result, failure, created_at
FROM perdure.executions
WHERE parent_id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)))
ORDER BY seq;
