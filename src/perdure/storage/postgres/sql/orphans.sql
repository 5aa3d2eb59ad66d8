-- What is run by workers that are not registered.
SELECT e.id, e.worker_id FROM perdure.executions AS e
WHERE e.worker_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM perdure.workers AS w WHERE w.id = e.worker_id);
