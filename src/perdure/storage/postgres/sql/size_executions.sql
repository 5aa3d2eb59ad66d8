-- How many rows.
SELECT count(*) FROM perdure.executions;
