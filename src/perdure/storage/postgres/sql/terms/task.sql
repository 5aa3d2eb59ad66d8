e.task_name = ANY (ARRAY(SELECT jsonb_array_elements_text($0::jsonb)))
