WITH given (origin, key, id, value, failure, completed_at, expires_at) AS (VALUES {rows:7})
INSERT INTO externals (origin, key, id, value, failure, completed_at, expires_at)
SELECT * FROM given WHERE origin IS NOT NULL;
