-- As `status`, where only these are asked for: they have an index.
e.place = 6 AND e.status = ANY (ARRAY(SELECT jsonb_array_elements_text($0::jsonb)))
