-- Rows of another store, as they stood there.
WITH given (
    id, task_name, queue, priority, status, place, token, worker_id, generation, attempt, crashes, drifts, due_at,
    deadline_at, parent_id, slot, slot_generation, root_id, depth, max_crashes, retention, children_total,
    children_settled, children_closed, marks, signals, stale, wake_any, wake_all, rest_until, wake_signals,
    created_at, started_at, finished_at, closed_at, expires_at, input_digest, idempotency_key, external_key, origin, options,
    version, tags, trace, cancel_reason, failure, waits, progress, input, result
) AS (VALUES {rows:50})
INSERT INTO executions (
    id, task_name, queue, priority, status, place, token, worker_id, generation, attempt, crashes, drifts, due_at,
    deadline_at, parent_id, slot, slot_generation, root_id, depth, max_crashes, retention, children_total,
    children_settled, children_closed, marks, signals, stale, wake_any, wake_all, rest_until, wake_signals,
    created_at, started_at, finished_at, closed_at, expires_at, input_digest, idempotency_key, external_key, origin, options,
    version, tags, trace, cancel_reason, failure, waits, progress, input, result
)
SELECT
    id, task_name, queue, priority, status, place, token, worker_id, generation, attempt, crashes, drifts, due_at,
    deadline_at, parent_id, slot, slot_generation, root_id, depth, max_crashes, retention, children_total,
    children_settled, children_closed, marks, signals, stale, wake_any, wake_all, rest_until, wake_signals,
    created_at, started_at, finished_at, closed_at, expires_at, input_digest, idempotency_key, external_key, origin, options,
    version, tags, trace, cancel_reason, failure, waits, progress, input, result
FROM given
WHERE id IS NOT NULL;
