-- Executions that have little in common, each with all its columns. Conditions as in `enqueue`, and
-- as in `spawn` for those that have a spawner.
WITH given (
    id, input, input_digest, idempotency_key, slot,
    task_name, queue, priority, due_at, deadline_at, options, version, tags, trace,
    parent_id, slot_generation, root_id, depth, max_crashes, retention, worker_id, external_key, origin,
    spawner_id, spawner_token
) AS (VALUES {rows:25})
INSERT INTO executions (
    id, input, input_digest, idempotency_key, slot,
    task_name, queue, priority, due_at, deadline_at, options, version, tags, trace,
    parent_id, slot_generation, root_id, depth, max_crashes, retention, worker_id, external_key, origin,
    created_at, status, place, token, crashes, started_at
)
SELECT
    id, input, input_digest, idempotency_key, slot,
    task_name, queue, priority, coalesce(due_at, ?1), deadline_at, options, version, tags, trace,
    parent_id, slot_generation, CASE root_id WHEN '' THEN id ELSE root_id END, depth, max_crashes, retention, worker_id,
    external_key, coalesce(origin, task_name), ?1,
    CASE WHEN worker_id IS NULL THEN 'pending' ELSE 'running' END,
    CASE WHEN worker_id IS NOT NULL THEN 4 ELSE coalesce(due_at, ?1) <= ?1 END,
    worker_id IS NOT NULL,
    worker_id IS NOT NULL,
    CASE WHEN worker_id IS NOT NULL THEN ?1 END
FROM given
WHERE id IS NOT NULL
    AND (
        spawner_id IS NULL
        OR EXISTS (
            SELECT 1 FROM executions AS spawner
            WHERE spawner.id = given.spawner_id AND spawner.token = given.spawner_token AND spawner.status = 'running'
        )
    )
ON CONFLICT DO NOTHING;
