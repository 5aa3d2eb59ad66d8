e.status = 'waiting' AND EXISTS (
    SELECT 1 FROM json_array_elements(e.waits::json) AS wait
    WHERE wait ->> 'kind'::text = ANY (ARRAY(SELECT jsonb_array_elements_text($0::jsonb)))
)
