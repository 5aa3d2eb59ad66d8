-- Executions whose pass ended and that did not settle: they wait, or are pending again; each under its token (R2).
WITH given (
    id, was, status, place, attempt, drifts, due_at, failure, waits, wake_any, wake_all, rest_until, wake_signals, marks,
    progress
) AS (VALUES {rows:15})
UPDATE executions SET
    status = given.status, place = given.place, worker_id = NULL, attempt = given.attempt, crashes = 0,
    drifts = given.drifts, due_at = given.due_at, failure = given.failure, waits = given.waits,
    wake_any = given.wake_any, wake_all = given.wake_all, rest_until = given.rest_until,
    wake_signals = given.wake_signals, marks = given.marks, progress = given.progress
FROM given
WHERE executions.id = given.id AND executions.token = given.was AND executions.status = 'running';
