-- Pairs of key and value.
EXISTS (
    SELECT 1 FROM jsonb_array_elements($0::jsonb) AS given JOIN json_each(
        CASE WHEN json_typeof(replace(replace(e.tags, '\\', '\u005c'), '\u0000', '')::json) = 'object' THEN replace(replace(e.tags, '\\', '\u005c'), '\u0000', '')::json END
    ) AS tag ON tag.key = given ->> 0
    WHERE json_typeof(tag.value) = 'string' AND tag.value #>> '{}'::text[] = given ->> 1
)
