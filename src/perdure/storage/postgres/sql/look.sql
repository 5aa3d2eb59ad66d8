-- What an entry alone needs to know of its execution, which is held from now on; `fresh`: it is the first since the claim.
SELECT id, status, token, cancel_reason IS NOT NULL AS cancelled, crashes <> 0 OR marks & 1 = 0 AS fresh
FROM perdure.executions
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)))
ORDER BY depth, id
FOR NO KEY UPDATE;
