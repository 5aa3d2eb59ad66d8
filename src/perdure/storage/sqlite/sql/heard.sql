-- Which of the given waits for a signal (id, name, how many were taken, number of the wait) have one more.
SELECT DISTINCT json_extract(given.value, '$[3]') AS number
FROM json_each(?1) AS given CROSS JOIN signals AS s
WHERE s.execution_id = json_extract(given.value, '$[0]') AND s.name = json_extract(given.value, '$[1]')
    AND s.number = json_extract(given.value, '$[2]') + 1;
