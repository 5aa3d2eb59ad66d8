SELECT s.execution_id, s.id
FROM jsonb_array_elements($1::jsonb) AS g JOIN perdure.signals AS s ON s.execution_id = g ->> 0 AND s.id = g ->> 1;
