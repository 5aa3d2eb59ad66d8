-- The (queue, task) pairs in which something is due: one seek each, however much is due.
WITH RECURSIVE lane (queue, task_name) AS (
    SELECT value, (SELECT min(task_name) FROM executions WHERE place = 1 AND queue = value) FROM json_each(?1)
    UNION ALL
    SELECT
        lane.queue,
        (SELECT min(e.task_name) FROM executions AS e
         WHERE e.place = 1 AND e.queue = lane.queue AND e.task_name > lane.task_name)
    FROM lane WHERE lane.task_name IS NOT NULL
)
SELECT queue, task_name FROM lane
WHERE task_name IS NOT NULL AND task_name IN (SELECT value FROM json_each(?2));
