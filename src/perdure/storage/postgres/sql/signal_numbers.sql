-- How many signals of each name an execution was sent.
SELECT g ->> 0 AS execution_id, g ->> 1 AS name, (
    SELECT max(s.number) FROM perdure.signals AS s WHERE s.execution_id = g ->> 0 AND s.name = g ->> 1
) AS number
FROM jsonb_array_elements($1::jsonb) AS g;
