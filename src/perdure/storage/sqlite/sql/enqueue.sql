-- Executions that differ in id, input, digest, key and slot alone; all else is given once. Nothing is inserted where the
-- id, the idempotency key or the slot is taken. (No look at `executions` itself: SQLite would copy all rows first.)
WITH given (id, input, input_digest, idempotency_key, slot) AS (VALUES {rows:5})
INSERT INTO executions (
    id, input, input_digest, idempotency_key, slot,
    task_name, queue, priority, due_at, deadline_at, options, version, tags, trace,
    parent_id, slot_generation, root_id, depth, max_crashes, retention, worker_id, external_key, origin,
    created_at, status, place, token, crashes, started_at
)
SELECT
    id, input, input_digest, idempotency_key, slot,
    ?2, ?3, ?4, coalesce(?5, ?1), ?6, ?7, ?8, ?9, ?10,
    ?11, ?12, CASE ?13 WHEN '' THEN id ELSE ?13 END, ?14, ?15, ?16, ?17, ?18, coalesce(?19, ?2),
    ?1,
    CASE WHEN ?17 IS NULL THEN 'pending' ELSE 'running' END,
    CASE WHEN ?17 IS NOT NULL THEN 4 ELSE coalesce(?5, ?1) <= ?1 END,
    ?17 IS NOT NULL,
    ?17 IS NOT NULL,
    CASE WHEN ?17 IS NOT NULL THEN ?1 END
FROM given
WHERE id IS NOT NULL
ON CONFLICT DO NOTHING;
