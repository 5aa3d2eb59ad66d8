-- Which of the given waits for a signal (id, name, how many were taken, number of the wait) have one more.
SELECT DISTINCT (g ->> 3)::integer AS number
FROM jsonb_array_elements($1::jsonb) AS g
JOIN perdure.signals AS s
    ON s.execution_id = g ->> 0 AND s.name = g ->> 1 AND s.number = (g ->> 2)::integer + 1;
