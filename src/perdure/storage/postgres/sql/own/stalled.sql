-- Ends sessions of this program whose process has stood still for $1 ms in the midst of what it was sending, and which hold what is
-- ours: others wait for it, or pass it over. No time limit of the server's holds there (see `link.STALLED`): for it the
-- session is active, as is one that brings a copy; that one is left alone. So is what calls itself otherwise: other programs may
-- have the same role. All compare exact types: where a schema is searched before the server's, no operator there fits better.
SELECT a.pid, pg_catalog.pg_terminate_backend(a.pid) AS ended
FROM pg_catalog.pg_stat_activity AS me
JOIN pg_catalog.pg_stat_activity AS a
    ON a.datid = me.datid AND a.usesysid = me.usesysid AND a.application_name = me.application_name
WHERE me.pid = pg_catalog.pg_backend_pid() AND a.state = 'active' AND a.wait_event = 'ClientRead'
    AND me.query_start - a.state_change > $1::double precision * interval '1 millisecond' AND a.query NOT ILIKE 'copy%'
    AND EXISTS (
        SELECT 1 FROM pg_catalog.pg_locks AS l
        WHERE l.pid = a.pid AND l.database = me.datid
            AND l.relation IN ('perdure.executions'::regclass::oid, 'perdure.workers'::regclass::oid)
            AND l.mode <> 'AccessShareLock'
    );
