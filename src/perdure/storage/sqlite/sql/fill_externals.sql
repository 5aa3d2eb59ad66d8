-- Rows of another store, as they stood there.
WITH given (
    task_name, key, id, value, failure, completed_at, expires_at
) AS (VALUES {rows:7})
INSERT INTO externals (
    task_name, key, id, value, failure, completed_at, expires_at
)
SELECT
    task_name, key, id, value, failure, completed_at, expires_at
FROM given
WHERE task_name IS NOT NULL;
