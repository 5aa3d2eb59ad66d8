-- Executions that have little in common, each with all its columns. Conditions as in `enqueue`, and as in `spawn` for
-- those that have a spawner. Answers the ids that went in.
WITH given AS (
    SELECT
        g ->> 0 AS id, g ->> 1 AS input, g ->> 2 AS input_digest, g ->> 3 AS idempotency_key, g ->> 4 AS slot,
        g ->> 5 AS task_name, g ->> 6 AS queue, (g ->> 7)::integer AS priority, (g ->> 8)::bigint AS due_at,
        (g ->> 9)::bigint AS deadline_at, g ->> 10 AS options, g ->> 11 AS version, g ->> 12 AS tags,
        g ->> 13 AS trace, g ->> 14 AS parent_id, (g ->> 15)::integer AS slot_generation, g ->> 16 AS root_id,
        (g ->> 17)::integer AS depth, (g ->> 18)::integer AS max_crashes, (g ->> 19)::bigint AS retention,
        g ->> 20 AS worker_id, g ->> 21 AS external_key, g ->> 22 AS origin,
        g ->> 23 AS spawner_id, (g ->> 24)::bigint AS spawner_token,
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
    task_name, queue, priority, coalesce(due_at, $2), deadline_at, options, version, tags, trace,
    parent_id, slot_generation, CASE root_id WHEN '' THEN id ELSE root_id END, depth, max_crashes, retention, worker_id,
    external_key, coalesce(origin, task_name), $2,
    CASE WHEN worker_id IS NULL THEN 'pending' ELSE 'running' END,
    CASE WHEN worker_id IS NOT NULL THEN 4 WHEN coalesce(due_at, $2) <= $2 THEN 1 ELSE 0 END,
    CASE WHEN worker_id IS NOT NULL THEN 1 ELSE 0 END,
    CASE WHEN worker_id IS NOT NULL THEN 1 ELSE 0 END,
    CASE WHEN worker_id IS NOT NULL THEN $2::bigint END
FROM given
WHERE spawner_id IS NULL OR (  -- one seek each; of an EXISTS the planner may make a hash of all that run
    SELECT TRUE FROM perdure.executions AS spawner
    WHERE spawner.id = given.spawner_id AND spawner.token = given.spawner_token AND spawner.status = 'running'
)
ORDER BY place_in_batch
ON CONFLICT DO NOTHING
RETURNING id;
