json_type(e.progress, '$.state') = 'text' AND json_extract(e.progress, '$.state') IN (SELECT value FROM json_each(?))
