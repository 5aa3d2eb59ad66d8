-- Small news of executions whose status does not change: progress of the count of crashes, marks, signals, a note.
WITH given AS (
    SELECT
        g ->> 0 AS id, (g ->> 1)::bigint AS was, (g ->> 2)::integer AS crashes, (g ->> 3)::integer AS marks,
        (g ->> 4)::integer AS signals, g ->> 5 AS progress
    FROM jsonb_array_elements($1::jsonb) AS g
)
UPDATE perdure.executions AS e SET
    crashes = given.crashes, marks = given.marks, signals = given.signals, progress = given.progress
FROM given
WHERE e.id = ANY (ARRAY(SELECT id FROM given)) AND e.id = given.id AND e.token = given.was;
