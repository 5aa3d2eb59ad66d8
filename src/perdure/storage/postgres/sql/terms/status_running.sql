-- As `status`, where only this is asked for: it has an index, and is little.
e.worker_id IS NOT NULL AND e.status = ANY (ARRAY(SELECT jsonb_array_elements_text($0::jsonb)))
