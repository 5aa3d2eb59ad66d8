-- What an entry alone needs to know of its execution; `fresh`: it is the first since the claim.
SELECT id, status, token, cancel_reason IS NOT NULL AS cancelled, crashes <> 0 OR marks & 1 = 0 AS fresh
FROM executions
WHERE id IN (SELECT value FROM json_each(?1));
