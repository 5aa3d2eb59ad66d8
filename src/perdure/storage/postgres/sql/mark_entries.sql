UPDATE perdure.executions SET marks = marks | 1 WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)));
