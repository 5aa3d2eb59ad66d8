-- What the external keys of the given executions were completed with.
SELECT e.id, x.value, x.failure, x.completed_at
FROM executions AS e CROSS JOIN externals AS x
WHERE e.id IN (SELECT value FROM json_each(?1)) AND x.origin = e.origin AND x.key = e.external_key;
