e.status = 'waiting' AND EXISTS (
    SELECT 1 FROM json_each(e.waits) AS wait
    WHERE json_extract(wait.value, '$.kind') IN (SELECT value FROM json_each(?))
)
