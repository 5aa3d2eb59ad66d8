-- Executions that wait for the given (origin, key) pairs. Whoever has such a key is held, also one that does not wait yet:
-- it looks for its completion when it is about to.
WITH held AS MATERIALIZED (
    SELECT e.origin, e.external_key, e.id, e.status
    FROM perdure.executions AS e
    WHERE e.external_key IS NOT NULL
        AND (e.origin, e.external_key) IN (SELECT g ->> 0, g ->> 1 FROM jsonb_array_elements($1::jsonb) AS g)
    ORDER BY e.depth, e.id
    FOR NO KEY UPDATE OF e
)
SELECT origin, external_key, id FROM held WHERE status = 'waiting';
