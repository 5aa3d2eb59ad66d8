-- Children that settled without success belong to the past of their parent.
UPDATE executions SET stale = 1
WHERE parent_id = ?1 AND stale = 0 AND status IN ('failed', 'timed_out', 'cancelled');
