-- Rows after one, in the order of their key.
SELECT
    origin, key, id, value, failure, completed_at, expires_at
FROM perdure.externals
WHERE (origin, key) > ($1, $2)
ORDER BY origin, key
LIMIT $3;
