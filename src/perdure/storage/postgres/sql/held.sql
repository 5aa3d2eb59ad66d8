-- What a worker runs, with the cancels that wait for it.
SELECT id, token, cancel_reason FROM perdure.executions WHERE worker_id = $1;
