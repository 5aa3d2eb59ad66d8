-- How many rows.
SELECT count(*) FROM signals;
