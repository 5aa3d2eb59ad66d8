-- How many rows.
SELECT count(*) FROM executions;
