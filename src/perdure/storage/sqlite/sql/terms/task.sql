e.task_name IN (SELECT value FROM json_each(?))
