-- Ends sessions whose process has stood still for $1 ms in the midst of what it was sending, and which hold what somebody waits
-- for. No time limit of the server's holds there (see `link.STALLED`): for it the session is active. Only sessions of our role
-- that touched our tables.
SELECT a.pid, pg_catalog.pg_terminate_backend(a.pid) AS ended
FROM pg_catalog.pg_stat_activity AS me JOIN pg_catalog.pg_stat_activity AS a ON a.usename = me.usename
WHERE me.pid = pg_catalog.pg_backend_pid() AND a.state = 'active' AND a.wait_event = 'ClientRead'
    AND me.query_start - a.state_change > $1::integer * interval '1 millisecond'
    AND a.pid = ANY (ARRAY(
        SELECT unnest(pg_catalog.pg_blocking_pids(w.pid)) FROM pg_catalog.pg_stat_activity AS w
        WHERE w.wait_event_type = 'Lock'
    ))
    AND EXISTS (
        SELECT 1 FROM pg_catalog.pg_locks AS l WHERE l.pid = a.pid AND l.relation = 'perdure.executions'::regclass
    );
