-- When an execution was made.
SELECT created_at FROM perdure.executions WHERE id = $1;
