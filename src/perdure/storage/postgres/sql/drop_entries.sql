-- What a chapter of a running execution recorded, by a range of keys, under its token (R2); taken signals stay counted.
DELETE FROM perdure.journal
WHERE execution_id = $1 AND key >= $2 AND key < $3 AND NOT (kind = 'signal' AND value IS NOT NULL)
    AND EXISTS (SELECT 1 FROM perdure.executions WHERE id = $1 AND token = $4 AND status = 'running');
