SELECT s.execution_id, s.id FROM json_each(?1) AS given CROSS JOIN signals AS s
WHERE s.execution_id = json_extract(given.value, '$[0]') AND s.id = json_extract(given.value, '$[1]');
