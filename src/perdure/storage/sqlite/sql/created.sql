-- When an execution was made.
SELECT created_at FROM executions WHERE id = ?1;
