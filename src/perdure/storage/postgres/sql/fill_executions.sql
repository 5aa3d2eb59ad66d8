-- Rows of another store, as they stood there.
WITH given AS (
    SELECT
        g ->> 0 AS id, g ->> 1 AS task_name, g ->> 2 AS queue, (g ->> 3)::integer AS priority, g ->> 4 AS status,
        (g ->> 5)::integer AS place, (g ->> 6)::bigint AS token, g ->> 7 AS worker_id,
        (g ->> 8)::integer AS generation, (g ->> 9)::integer AS attempt, (g ->> 10)::integer AS crashes,
        (g ->> 11)::integer AS drifts, (g ->> 12)::bigint AS due_at, (g ->> 13)::bigint AS deadline_at,
        g ->> 14 AS parent_id, g ->> 15 AS slot, (g ->> 16)::integer AS slot_generation, g ->> 17 AS root_id,
        (g ->> 18)::integer AS depth, (g ->> 19)::integer AS max_crashes, (g ->> 20)::bigint AS retention,
        (g ->> 21)::integer AS children_total, (g ->> 22)::integer AS children_settled,
        (g ->> 23)::integer AS children_closed, (g ->> 24)::integer AS marks, (g ->> 25)::integer AS signals,
        (g ->> 26)::integer AS stale, (g ->> 27)::integer AS wake_any, (g ->> 28)::integer AS wake_all,
        (g ->> 29)::bigint AS rest_until, g ->> 30 AS wake_signals, (g ->> 31)::bigint AS created_at,
        (g ->> 32)::bigint AS started_at, (g ->> 33)::bigint AS finished_at, (g ->> 34)::bigint AS closed_at,
        (g ->> 35)::bigint AS expires_at, g ->> 36 AS input_digest, g ->> 37 AS idempotency_key,
        g ->> 38 AS external_key, g ->> 39 AS origin, g ->> 40 AS options, g ->> 41 AS version, g ->> 42 AS tags,
        g ->> 43 AS trace,
        g ->> 44 AS cancel_reason, g ->> 45 AS failure, g ->> 46 AS waits, g ->> 47 AS progress, g ->> 48 AS input,
        g ->> 49 AS result, number AS place_in_batch
    FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS t (g, number)
)
INSERT INTO perdure.executions (
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
ORDER BY place_in_batch;
