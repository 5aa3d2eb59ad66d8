-- What stands for the given (origin, key) pairs.
SELECT x.origin, x.key, x.id, x.value, x.failure, x.completed_at
FROM json_each(?1) AS given CROSS JOIN externals AS x
WHERE x.origin = json_extract(given.value, '$[0]') AND x.key = json_extract(given.value, '$[1]');
