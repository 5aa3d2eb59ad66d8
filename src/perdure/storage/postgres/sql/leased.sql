-- What was leased just now, as a worker needs it.
SELECT
    id, task_name, token, generation, attempt, crashes, drifts, marks > 0 OR children_total > 0 OR signals > 0 AS journaled,
    input, failure, cancel_reason, deadline_at, queue, priority, options, version, tags, trace, parent_id, root_id, depth,
    created_at, started_at, due_at, origin
FROM perdure.executions
WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)));
