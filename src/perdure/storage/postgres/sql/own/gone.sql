-- Workers whose session has ended. Of the session of another role less is seen; then it counts as alive.
SELECT w.id, w.session, w.session_process FROM perdure.workers AS w
WHERE w.session <> '' AND NOT EXISTS (
    SELECT 1 FROM pg_catalog.pg_stat_activity AS a
    WHERE a.pid = w.session_process
        AND (a.backend_start IS NULL OR (extract(epoch FROM a.backend_start) * 1000000::numeric)::bigint::text = w.session)
);
