e.parent_id = ANY (ARRAY(SELECT jsonb_array_elements_text($0::jsonb)))
