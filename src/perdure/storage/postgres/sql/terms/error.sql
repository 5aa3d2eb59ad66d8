-- A JSON text may hold a NUL, which a text of the server may not: it is left out before anybody looks. `fold` is the lower
-- case of as many letters as the server knows.
e.failure IS NOT NULL AND EXISTS (
    SELECT 1 FROM jsonb_array_elements_text($0::jsonb) AS given
    WHERE strpos({fold:coalesce(replace(replace(e.failure, '\\', '\u005c'), '\u0000', '')::json ->> 'message'::text, '')}, given) > 0
        OR strpos({fold:coalesce(replace(replace(e.failure, '\\', '\u005c'), '\u0000', '')::json ->> 'type'::text, '')}, given) > 0
)
