-- Workers of this process have another session, or none.
UPDATE perdure.workers SET session = $2, session_process = $3
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)));
