-- Entries that come with a new execution (a fork): nobody can run it yet.
WITH given AS (
    SELECT
        g ->> 0 AS execution_id, g ->> 1 AS key, g ->> 2 AS scope, (g ->> 3)::integer AS position, g ->> 4 AS kind,
        g ->> 5 AS name, g ->> 6 AS value, g ->> 7 AS failure, (g ->> 8)::bigint AS due_at,
        (g ->> 9)::bigint AS recorded_at, (g ->> 10)::bigint AS started_at, (g ->> 11)::bigint AS token
    FROM jsonb_array_elements($1::jsonb) AS g
)
INSERT INTO perdure.journal (
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
)
SELECT
    execution_id, key, scope, position, kind, name, value, failure, due_at, recorded_at, started_at, token
FROM given
ON CONFLICT DO NOTHING;
