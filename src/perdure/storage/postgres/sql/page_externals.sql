-- Rows after one, in the order of their key.
SELECT
    task_name, key, id, value, failure, completed_at, expires_at
FROM perdure.externals
WHERE (task_name, key) > ($1, $2)
ORDER BY task_name, key
LIMIT $3;
