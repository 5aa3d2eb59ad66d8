-- How many signals of each name an execution was sent.
SELECT
    json_extract(given.value, '$[0]') AS execution_id,
    json_extract(given.value, '$[1]') AS name,
    (
        SELECT max(number) FROM signals AS s
        WHERE s.execution_id = json_extract(given.value, '$[0]') AND s.name = json_extract(given.value, '$[1]')
    ) AS number
FROM json_each(?1) AS given;
