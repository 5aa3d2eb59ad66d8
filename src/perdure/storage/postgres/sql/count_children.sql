-- What an execution learns from its children: counters, whether it is closed, when it is due.
WITH given AS (
    SELECT
        g ->> 0 AS id, (g ->> 1)::bigint AS was, (g ->> 2)::integer AS place, (g ->> 3)::bigint AS due_at,
        (g ->> 4)::integer AS children_total, (g ->> 5)::integer AS children_settled,
        (g ->> 6)::integer AS children_closed, (g ->> 7)::bigint AS closed_at, (g ->> 8)::bigint AS expires_at
    FROM jsonb_array_elements($1::jsonb) AS g
)
UPDATE perdure.executions AS e SET
    place = given.place, due_at = given.due_at, children_total = given.children_total,
    children_settled = given.children_settled, children_closed = given.children_closed, closed_at = given.closed_at,
    expires_at = given.expires_at
FROM given
WHERE e.id = ANY (ARRAY(SELECT id FROM given)) AND e.id = given.id AND e.token = given.was;
