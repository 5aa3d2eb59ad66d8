-- One page below (created_at, id); the terms of the query stand in the place of {terms}.
SELECT
    id, task_name, queue, priority, status, token, worker_id, generation, attempt, crashes, drifts, due_at, deadline_at,
    input, input_digest, result, failure, waits, cancel_reason, progress, idempotency_key, external_key, origin, options, version, tags, trace,
    parent_id, slot, slot_generation, root_id, depth, max_crashes, retention, children_total, children_settled,
    children_closed, created_at, started_at, finished_at, closed_at
FROM executions AS e
WHERE created_at <= ?1 AND (created_at < ?1 OR id < ?2) AND {terms}
ORDER BY created_at DESC, id DESC
LIMIT ?3;
