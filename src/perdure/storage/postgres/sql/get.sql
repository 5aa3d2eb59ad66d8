SELECT
    id, task_name, queue, priority, status, token, worker_id, generation, attempt, crashes, drifts, due_at, deadline_at,
    input, input_digest, result, failure, waits, cancel_reason, progress, idempotency_key, external_key, origin, options,
    version, tags, trace, parent_id, slot, slot_generation, root_id, depth, max_crashes, retention, children_total,
    children_settled, children_closed, created_at, started_at, finished_at, closed_at
FROM perdure.executions
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)));
