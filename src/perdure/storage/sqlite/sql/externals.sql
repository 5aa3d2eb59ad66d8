-- What stands for the given (task, key) pairs.
SELECT x.task_name, x.key, x.id, x.value, x.failure, x.completed_at
FROM json_each(?1) AS given CROSS JOIN externals AS x
WHERE x.task_name = json_extract(given.value, '$[0]') AND x.key = json_extract(given.value, '$[1]');
