-- As `status`, where only these are asked for: they have an index.
e.place = 6 AND e.status IN (SELECT value FROM json_each(?))
