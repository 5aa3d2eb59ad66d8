-- The (queue, task) pairs in which something is due: one seek each, however much is due.
WITH RECURSIVE lane (queue, task_name) AS (
    SELECT q, (SELECT min(e.task_name) FROM perdure.executions AS e WHERE e.place = 1 AND e.queue = q)
    FROM jsonb_array_elements_text($1::jsonb) AS q
    UNION ALL
    SELECT
        lane.queue,
        (SELECT min(e.task_name) FROM perdure.executions AS e
         WHERE e.place = 1 AND e.queue = lane.queue AND e.task_name > lane.task_name)
    FROM lane WHERE lane.task_name IS NOT NULL
)
SELECT queue, task_name FROM lane
WHERE task_name = ANY (ARRAY(SELECT jsonb_array_elements_text($2::jsonb)));
