-- What stands for the given (origin, key) pairs.
SELECT x.origin, x.key, x.id, x.value, x.failure, x.completed_at
FROM jsonb_array_elements($1::jsonb) AS g JOIN perdure.externals AS x ON x.origin = g ->> 0 AND x.key = g ->> 1;
