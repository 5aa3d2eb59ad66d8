-- Rows after one, in the order of their key.
SELECT
    execution_id, name, number, id, value, position, accepted_at
FROM perdure.signals
WHERE (execution_id, name, number) > ($1, $2, $3)
ORDER BY execution_id, name, number
LIMIT $4;
