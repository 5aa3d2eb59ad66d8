WITH given (task_name, key, id, value, failure, completed_at, expires_at) AS (VALUES {rows:7})
INSERT INTO externals (task_name, key, id, value, failure, completed_at, expires_at)
SELECT * FROM given WHERE task_name IS NOT NULL;
