-- Closed roots that are past their own retention, those without one that closed before the moment given second, and those
-- with one that closed before the moment given third; those that closed first come first. They are held from now on.
WITH found AS MATERIALIZED (
    (
        SELECT id FROM perdure.executions WHERE expires_at IS NOT NULL AND expires_at <= $1
        ORDER BY closed_at, id LIMIT $4
    )
    UNION
    (
        SELECT id FROM perdure.executions
        WHERE closed_at IS NOT NULL AND parent_id IS NULL AND retention IS NULL AND closed_at < $2::bigint
        ORDER BY closed_at, id LIMIT $4
    )
    UNION
    (
        SELECT id FROM perdure.executions WHERE expires_at IS NOT NULL AND closed_at < $3::bigint
        ORDER BY closed_at, id LIMIT $4
    )
)
SELECT id, closed_at FROM perdure.executions
WHERE id = ANY (ARRAY(SELECT id FROM found)) AND closed_at IS NOT NULL
ORDER BY closed_at, id
LIMIT $4
FOR UPDATE SKIP LOCKED;
