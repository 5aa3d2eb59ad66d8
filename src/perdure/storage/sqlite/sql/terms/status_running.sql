-- As `status`, where only this is asked for: it has an index, and is little.
e.id IN (SELECT id FROM executions WHERE worker_id IS NOT NULL) AND e.status IN (SELECT value FROM json_each(?))
