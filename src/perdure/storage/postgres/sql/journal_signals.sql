SELECT execution_id, id, name, value, position, accepted_at
FROM perdure.signals
WHERE execution_id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)));
