-- Running executions with a first entry since their claim: they are no suspects any more (R11).
WITH given AS (
    SELECT
        g ->> 0 AS id, (g ->> 1)::bigint AS token
    FROM jsonb_array_elements($1::jsonb) AS g
)
UPDATE perdure.executions AS e SET crashes = 0, marks = e.marks | 1
FROM given
WHERE e.id = ANY (ARRAY(SELECT id FROM given)) AND e.id = given.id AND e.token = given.token AND e.status = 'running';
