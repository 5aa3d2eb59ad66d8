-- Rows of another store, as they stood there.
WITH given AS (
    SELECT
        g ->> 0 AS execution_id, g ->> 1 AS name, (g ->> 2)::integer AS number, g ->> 3 AS id, g ->> 4 AS value,
        (g ->> 5)::integer AS position, (g ->> 6)::bigint AS accepted_at
    FROM jsonb_array_elements($1::jsonb) AS g
)
INSERT INTO perdure.signals (
    execution_id, name, number, id, value, position, accepted_at
)
SELECT
    execution_id, name, number, id, value, position, accepted_at
FROM given;
