SELECT
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
FROM perdure.journal
WHERE execution_id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)));
