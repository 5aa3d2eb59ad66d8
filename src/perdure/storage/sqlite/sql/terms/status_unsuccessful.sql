-- As `status`, where only these are asked for: they have an index.
e.status IN ('failed', 'timed_out', 'cancelled') AND e.status IN (SELECT value FROM json_each(?))
