SELECT id, children_settled, external_key IS NOT NULL AS external FROM perdure.executions
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)));
