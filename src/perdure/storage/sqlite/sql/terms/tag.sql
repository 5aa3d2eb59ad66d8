-- Pairs of key and value.
EXISTS (
    SELECT 1 FROM json_each(?) AS given CROSS JOIN json_each(e.tags) AS tag
    WHERE tag.type = 'text' AND tag.key = json_extract(given.value, '$[0]')
        AND tag.atom = json_extract(given.value, '$[1]') AND json_type(e.tags) = 'object'
)
