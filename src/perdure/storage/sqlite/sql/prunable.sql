-- Closed roots that are past their own retention, those without one that closed before the moment given second, and those
-- with one that closed before the moment given third; those that closed first come first.
SELECT id, closed_at FROM (
    SELECT id, closed_at FROM (
        SELECT id, closed_at FROM executions WHERE expires_at IS NOT NULL AND expires_at <= ?1
        ORDER BY closed_at, id LIMIT ?4
    )
    UNION
    SELECT id, closed_at FROM (
        SELECT id, closed_at FROM executions
        WHERE closed_at IS NOT NULL AND parent_id IS NULL AND retention IS NULL AND closed_at < ?2
        ORDER BY closed_at, id LIMIT ?4
    )
    UNION
    SELECT id, closed_at FROM (
        SELECT id, closed_at FROM executions WHERE ?3 IS NOT NULL AND expires_at IS NOT NULL AND closed_at < ?3
        ORDER BY closed_at, id LIMIT ?4
    )
)
ORDER BY closed_at, id
LIMIT ?4;
