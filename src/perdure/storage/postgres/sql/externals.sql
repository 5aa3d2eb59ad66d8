-- What stands for the given (task, key) pairs.
SELECT x.task_name, x.key, x.id, x.value, x.failure, x.completed_at
FROM jsonb_array_elements($1) AS g JOIN perdure.externals AS x ON x.task_name = g ->> 0 AND x.key = g ->> 1;
