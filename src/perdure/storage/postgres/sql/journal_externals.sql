-- What the external keys of the given executions were completed with.
SELECT e.id, x.value, x.failure, x.completed_at
FROM perdure.executions AS e JOIN perdure.externals AS x ON x.origin = e.origin AND x.key = e.external_key
WHERE e.id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)));
