e.root_id IN (SELECT value FROM json_each(?))
