-- Ranges, found by the primary key.
e.id IN (
    SELECT x.id FROM json_each(?) AS given CROSS JOIN executions AS x
    WHERE x.id BETWEEN json_extract(given.value, '$[0]') AND json_extract(given.value, '$[1]')
)
