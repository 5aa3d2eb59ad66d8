-- How many rows.
SELECT count(*) FROM perdure.signals;
