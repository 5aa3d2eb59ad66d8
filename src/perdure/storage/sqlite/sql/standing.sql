-- Who holds the ids, the (origin, idempotency key) pairs and the (parent, slot, generation) places that are given.
SELECT 0 AS how, number, e.id, e.task_name, e.origin, e.input_digest, e.status
FROM (SELECT key AS number, value AS given FROM json_each(?1)) CROSS JOIN executions AS e
WHERE e.id = json_extract(given, '$[0]')
UNION ALL
SELECT 1, number, e.id, e.task_name, e.origin, e.input_digest, e.status
FROM (SELECT key AS number, value AS given FROM json_each(?1)) CROSS JOIN executions AS e
WHERE e.idempotency_key IS NOT NULL
    AND e.origin = json_extract(given, '$[1]') AND e.idempotency_key = json_extract(given, '$[2]')
UNION ALL
SELECT 2, number, e.id, e.task_name, e.origin, e.input_digest, e.status
FROM (SELECT key AS number, value AS given FROM json_each(?1)) CROSS JOIN executions AS e
WHERE e.parent_id IS NOT NULL
    AND e.parent_id = json_extract(given, '$[3]') AND e.slot = json_extract(given, '$[4]')
    AND e.slot_generation = json_extract(given, '$[5]');
