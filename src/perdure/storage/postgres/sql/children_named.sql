-- Children of one task that count for their parent.
SELECT id FROM perdure.executions WHERE parent_id = $1 AND task_name = $2 AND stale = 0 ORDER BY seq;
