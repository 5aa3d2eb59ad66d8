-- Completions whose key no execution has: past their own retention, those without one that came before the moment given
-- second, and those with one that came before the moment given third; the oldest first.
DELETE FROM externals WHERE (origin, key) IN (
    SELECT origin, key FROM externals AS x
    WHERE (
            (expires_at IS NOT NULL AND expires_at <= ?1)
            OR (completed_at < ?2 AND expires_at IS NULL)
            OR (completed_at < ?3 AND expires_at IS NOT NULL)
        )
        AND NOT EXISTS (
            SELECT 1 FROM executions AS e
            WHERE e.external_key IS NOT NULL AND e.origin = x.origin AND e.external_key = x.key
        )
    ORDER BY completed_at, origin, key
    LIMIT ?4
);
