-- How many children of an execution settled without success and are not stale.
SELECT count(*) FROM perdure.executions WHERE parent_id = $1 AND place = 6 AND stale = 0;
