json_typeof(replace(replace(e.progress, '\\', '\u005c'), '\u0000', '')::json -> 'state'::text) = 'string'
    AND replace(replace(e.progress, '\\', '\u005c'), '\u0000', '')::json ->> 'state'::text = ANY (ARRAY(SELECT jsonb_array_elements_text($0::jsonb)))
