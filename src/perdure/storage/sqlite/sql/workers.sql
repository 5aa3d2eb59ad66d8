SELECT id, host, process, version, queues, tasks, concurrency, running, started_at, lease_until, draining
FROM workers
ORDER BY id;
