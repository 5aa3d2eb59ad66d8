-- Executions that wait for the given (task, key) pairs.
SELECT e.task_name, e.external_key, e.id
FROM json_each(?1) AS given CROSS JOIN executions AS e
WHERE e.external_key IS NOT NULL AND e.status = 'waiting'
    AND e.task_name = json_extract(given.value, '$[0]') AND e.external_key = json_extract(given.value, '$[1]');
