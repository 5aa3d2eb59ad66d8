-- Somebody who keeps the same key at the same time fails here, and begins again.
WITH given AS (
    SELECT
        g ->> 0 AS origin, g ->> 1 AS key, g ->> 2 AS id, g ->> 3 AS value, g ->> 4 AS failure,
        (g ->> 5)::bigint AS completed_at, (g ->> 6)::bigint AS expires_at
    FROM jsonb_array_elements($1::jsonb) AS g
)
INSERT INTO perdure.externals (origin, key, id, value, failure, completed_at, expires_at)
SELECT origin, key, id, value, failure, completed_at, expires_at FROM given
ORDER BY origin, key;
