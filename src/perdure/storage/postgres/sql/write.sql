-- All that moves of executions, each while its token is what was loaded (given second).
WITH given AS (
    SELECT
        g ->> 0 AS id, (g ->> 1)::bigint AS was, g ->> 2 AS status, (g ->> 3)::integer AS place,
        (g ->> 4)::bigint AS token, g ->> 5 AS worker_id, (g ->> 6)::integer AS generation,
        (g ->> 7)::integer AS attempt, (g ->> 8)::integer AS crashes, (g ->> 9)::integer AS drifts,
        (g ->> 10)::bigint AS due_at, (g ->> 11)::bigint AS deadline_at, g ->> 12 AS cancel_reason,
        g ->> 13 AS failure, g ->> 14 AS waits, (g ->> 15)::integer AS wake_any, (g ->> 16)::integer AS wake_all,
        (g ->> 17)::bigint AS rest_until, g ->> 18 AS wake_signals, (g ->> 19)::bigint AS finished_at,
        (g ->> 20)::bigint AS closed_at, (g ->> 21)::bigint AS expires_at, (g ->> 22)::integer AS children_total,
        (g ->> 23)::integer AS children_settled, (g ->> 24)::integer AS children_closed, (g ->> 25)::integer AS marks,
        (g ->> 26)::integer AS signals, (g ->> 27)::integer AS stale, g ->> 28 AS progress
    FROM jsonb_array_elements($1::jsonb) AS g
)
UPDATE perdure.executions AS e SET
    status = given.status, place = given.place, token = given.token, worker_id = given.worker_id,
    generation = given.generation, attempt = given.attempt, crashes = given.crashes, drifts = given.drifts,
    due_at = given.due_at, deadline_at = given.deadline_at, cancel_reason = given.cancel_reason,
    failure = given.failure, waits = given.waits, wake_any = given.wake_any, wake_all = given.wake_all,
    rest_until = given.rest_until, wake_signals = given.wake_signals, finished_at = given.finished_at,
    closed_at = given.closed_at, expires_at = given.expires_at, children_total = given.children_total,
    children_settled = given.children_settled, children_closed = given.children_closed, marks = given.marks,
    signals = given.signals, stale = given.stale, progress = given.progress
FROM given
WHERE e.id = ANY (ARRAY(SELECT id FROM given)) AND e.id = given.id AND e.token = given.was;
