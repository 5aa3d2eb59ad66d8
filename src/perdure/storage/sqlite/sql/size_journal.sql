-- How many rows.
SELECT count(*) FROM journal;
