-- Executions whose pass ended and that did not settle: they wait, or are pending again; each under its token (R2).
WITH given AS (
    SELECT
        g ->> 0 AS id, (g ->> 1)::bigint AS was, g ->> 2 AS status, (g ->> 3)::integer AS place,
        (g ->> 4)::integer AS attempt, (g ->> 5)::integer AS drifts, (g ->> 6)::bigint AS due_at, g ->> 7 AS failure,
        g ->> 8 AS waits, (g ->> 9)::integer AS wake_any, (g ->> 10)::integer AS wake_all,
        (g ->> 11)::bigint AS rest_until, g ->> 12 AS wake_signals, (g ->> 13)::integer AS marks, g ->> 14 AS progress
    FROM jsonb_array_elements($1::jsonb) AS g
)
UPDATE perdure.executions AS e SET
    status = given.status, place = given.place, worker_id = NULL, attempt = given.attempt, crashes = 0,
    drifts = given.drifts, due_at = given.due_at, failure = given.failure, waits = given.waits,
    wake_any = given.wake_any, wake_all = given.wake_all, rest_until = given.rest_until,
    wake_signals = given.wake_signals, marks = given.marks, progress = given.progress
FROM given
WHERE e.id = ANY (ARRAY(SELECT id FROM given)) AND e.id = given.id AND e.token = given.was AND e.status = 'running';
