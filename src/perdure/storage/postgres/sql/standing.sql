-- Who holds the ids, the (origin, idempotency key) pairs and the (parent, slot, generation) places that are given.
WITH given AS MATERIALIZED (
    SELECT
        (number - 1)::integer AS number, g ->> 0 AS id, g ->> 1 AS origin, g ->> 2 AS idempotency_key,
        g ->> 3 AS parent_id, g ->> 4 AS slot, (g ->> 5)::integer AS slot_generation
    FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS t (g, number)
)
SELECT 0 AS how, number, e.id, e.task_name, e.origin, e.input_digest, e.status
FROM given JOIN perdure.executions AS e ON e.id = given.id
UNION ALL
SELECT 1, number, e.id, e.task_name, e.origin, e.input_digest, e.status
FROM given JOIN perdure.executions AS e
    ON e.idempotency_key IS NOT NULL AND e.origin = given.origin AND e.idempotency_key = given.idempotency_key
UNION ALL
SELECT 2, number, e.id, e.task_name, e.origin, e.input_digest, e.status
FROM given JOIN perdure.executions AS e
    ON e.parent_id IS NOT NULL AND e.parent_id = given.parent_id AND e.slot = given.slot
    AND e.slot_generation = given.slot_generation;
