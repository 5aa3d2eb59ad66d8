SELECT execution_id, id, name, value, position, accepted_at
FROM signals
WHERE execution_id IN (SELECT value FROM json_each(?1));
