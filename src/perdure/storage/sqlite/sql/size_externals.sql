-- How many rows.
SELECT count(*) FROM externals;
