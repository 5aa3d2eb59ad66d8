-- Rows of another store, as they stood there.
WITH given (
    execution_id, name, number, id, value, position, accepted_at
) AS (VALUES {rows:7})
INSERT INTO signals (
    execution_id, name, number, id, value, position, accepted_at
)
SELECT
    execution_id, name, number, id, value, position, accepted_at
FROM given
WHERE execution_id IS NOT NULL;
