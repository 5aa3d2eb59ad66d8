-- Closed roots that are past their own retention, or closed before the moment given second; those that closed first
-- come first.
SELECT id, closed_at FROM (
    SELECT id, closed_at FROM (
        SELECT id, closed_at FROM executions WHERE expires_at IS NOT NULL AND expires_at <= ?1
        ORDER BY closed_at, id LIMIT ?3
    )
    UNION
    SELECT id, closed_at FROM (
        SELECT id, closed_at FROM executions WHERE closed_at IS NOT NULL AND parent_id IS NULL AND closed_at < ?2
        ORDER BY closed_at, id LIMIT ?3
    )
)
ORDER BY closed_at, id
LIMIT ?3;
