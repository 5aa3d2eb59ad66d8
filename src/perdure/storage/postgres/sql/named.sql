-- Idle executions that a worker asks for by id, due or not, but for those that somebody else holds.
SELECT priority, due_at, id, id AS ref, crashes FROM perdure.executions
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb))) AND status IN ('pending', 'waiting')
FOR NO KEY UPDATE SKIP LOCKED;
