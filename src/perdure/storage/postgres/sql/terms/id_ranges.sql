-- Ranges, found by the primary key.
e.id IN (
    SELECT x.id FROM jsonb_array_elements($0::jsonb) AS g JOIN perdure.executions AS x ON x.id BETWEEN g ->> 0 AND g ->> 1
)
