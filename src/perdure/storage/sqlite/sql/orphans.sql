-- What is run by workers that are not registered.
SELECT id, worker_id FROM executions
WHERE worker_id IS NOT NULL AND worker_id NOT IN (SELECT id FROM workers);
