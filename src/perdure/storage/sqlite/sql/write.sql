-- All that moves of executions, each while its token is what was loaded (given second).
WITH given (
    id, was, status, place, token, worker_id, generation, attempt, crashes, drifts, due_at, deadline_at, cancel_reason,
    failure, waits, wake_any, wake_all, rest_until, wake_signals, finished_at, closed_at, expires_at, children_total,
    children_settled, children_closed, marks, signals, stale, progress
) AS (VALUES {rows:29})
UPDATE executions SET
    status = given.status, place = given.place, token = given.token, worker_id = given.worker_id,
    generation = given.generation, attempt = given.attempt, crashes = given.crashes, drifts = given.drifts,
    due_at = given.due_at, deadline_at = given.deadline_at, cancel_reason = given.cancel_reason, failure = given.failure,
    waits = given.waits, wake_any = given.wake_any, wake_all = given.wake_all, rest_until = given.rest_until,
    wake_signals = given.wake_signals, finished_at = given.finished_at, closed_at = given.closed_at,
    expires_at = given.expires_at, children_total = given.children_total, children_settled = given.children_settled,
    children_closed = given.children_closed, marks = given.marks, signals = given.signals, stale = given.stale,
    progress = given.progress
FROM given
WHERE executions.id = given.id AND executions.token = given.was;
