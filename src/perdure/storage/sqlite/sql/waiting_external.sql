-- Executions that wait for the given (origin, key) pairs.
SELECT e.origin, e.external_key, e.id
FROM json_each(?1) AS given CROSS JOIN executions AS e
WHERE e.external_key IS NOT NULL AND e.status = 'waiting'
    AND e.origin = json_extract(given.value, '$[0]') AND e.external_key = json_extract(given.value, '$[1]');
