-- What names this session for others, for as long as the server runs.
SELECT (extract(epoch FROM backend_start) * 1000000::numeric)::bigint::text, pid FROM pg_catalog.pg_stat_activity
WHERE pid = pg_catalog.pg_backend_pid();
