UPDATE executions SET
    status = 'running', place = 4, worker_id = ?2, token = token + 1, crashes = crashes + 1,
    started_at = coalesce(started_at, ?1), waits = NULL, wake_any = NULL, wake_all = NULL, rest_until = NULL,
    wake_signals = NULL
WHERE rowid IN (SELECT value FROM json_each(?3));
