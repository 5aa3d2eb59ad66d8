SELECT
    id, host, process, version, queues, tasks, concurrency, started_at, lease_until, draining,
    (SELECT count(*) FROM executions WHERE worker_id = workers.id)
FROM workers
ORDER BY id;
