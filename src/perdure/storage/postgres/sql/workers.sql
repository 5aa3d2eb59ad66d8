SELECT
    id, host, process, version, queues, tasks, concurrency, started_at, lease_until, draining,
    (SELECT count(*) FROM perdure.executions AS e WHERE e.worker_id = workers.id)
FROM perdure.workers
ORDER BY id;
