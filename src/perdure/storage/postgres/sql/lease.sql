-- What `choose`, `suspect` or `named` answered in this transaction.
UPDATE perdure.executions SET
    status = 'running', place = 4, worker_id = $2, token = token + 1, crashes = crashes + 1,
    started_at = coalesce(started_at, $1), waits = NULL, wake_any = NULL, wake_all = NULL, rest_until = NULL,
    wake_signals = NULL
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($3::jsonb)));
