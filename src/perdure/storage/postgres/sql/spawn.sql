-- As `enqueue`, by one running execution under its token (R2): else nothing is inserted. In the order given, which is how
-- a parent shows its children.
WITH given AS (
    SELECT
        g ->> 0 AS id, g ->> 1 AS input, g ->> 2 AS input_digest, g ->> 3 AS idempotency_key, g ->> 4 AS slot,
        number AS place_in_batch
    FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS t (g, number)
)
INSERT INTO perdure.executions (
    id, input, input_digest, idempotency_key, slot,
    task_name, queue, priority, due_at, deadline_at, options, version, tags, trace,
    parent_id, slot_generation, root_id, depth, max_crashes, retention, worker_id, external_key, origin,
    created_at, status, place, token, crashes, started_at
)
SELECT
    id, input, input_digest, idempotency_key, slot,
    $3, $4, $5, coalesce($6::bigint, $2), $7::bigint, $8, $9, $10, $11,
    $12, $13, CASE $14 WHEN '' THEN id ELSE $14 END, $15, $16, $17::bigint, $18::text, $19, coalesce($20, $3),
    $2,
    CASE WHEN $18::text IS NULL THEN 'pending' ELSE 'running' END,
    CASE WHEN $18::text IS NOT NULL THEN 4 WHEN coalesce($6::bigint, $2) <= $2 THEN 1 ELSE 0 END,
    CASE WHEN $18::text IS NOT NULL THEN 1 ELSE 0 END,
    CASE WHEN $18::text IS NOT NULL THEN 1 ELSE 0 END,
    CASE WHEN $18::text IS NOT NULL THEN $2::bigint END
FROM given
WHERE EXISTS (SELECT 1 FROM perdure.executions WHERE id = $21 AND token = $22 AND status = 'running')
ORDER BY place_in_batch
ON CONFLICT DO NOTHING
RETURNING id;
