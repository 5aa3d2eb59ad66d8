-- Children that settled without success belong to the past of their parent; where $2 says so, those that still run under
-- a flag to cancel do too. Whoever asks holds the parent.
UPDATE perdure.executions SET stale = 1
WHERE parent_id = $1 AND stale = 0 AND (
    status IN ('failed', 'timed_out', 'cancelled') OR ($2::integer = 1 AND status = 'running' AND cancel_reason IS NOT NULL)
);
