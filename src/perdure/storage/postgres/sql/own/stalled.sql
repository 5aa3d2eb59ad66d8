-- Ends sessions whose process has stood still for $1 ms in the midst of what it was sending, and which hold rows of ours: others
-- wait for these, or pass them over. No time limit of the server's holds there (see `link.STALLED`): for it the session is
-- active, as is one that brings a copy; that one is left alone.
SELECT a.pid, pg_catalog.pg_terminate_backend(a.pid) AS ended
FROM pg_catalog.pg_stat_activity AS me
JOIN pg_catalog.pg_stat_activity AS a ON a.datname = me.datname AND a.usename = me.usename
WHERE me.pid = pg_catalog.pg_backend_pid() AND a.state = 'active' AND a.wait_event = 'ClientRead'
    AND me.query_start - a.state_change > $1::integer * interval '1 millisecond' AND a.query NOT ILIKE 'copy%'
    AND EXISTS (
        SELECT 1 FROM pg_catalog.pg_locks AS l
        WHERE l.pid = a.pid AND l.relation = 'perdure.executions'::regclass AND l.mode <> 'AccessShareLock'
    );
