-- Registers or renews a worker. A request to drain stays.
INSERT INTO perdure.workers AS w (
    id, host, process, version, queues, tasks, concurrency, started_at, lease_until, draining, session, session_process
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (id) DO UPDATE SET
    host = excluded.host, process = excluded.process, version = excluded.version, queues = excluded.queues,
    tasks = excluded.tasks, concurrency = excluded.concurrency,
    started_at = excluded.started_at, lease_until = excluded.lease_until,
    draining = greatest(w.draining, excluded.draining),
    session = excluded.session, session_process = excluded.session_process;
