-- What an execution learns from its children: counters, whether it is closed, when it is due.
WITH given (
    id, was, place, due_at, children_total, children_settled, children_closed, closed_at, expires_at
) AS (VALUES {rows:9})
UPDATE executions SET
    place = given.place, due_at = given.due_at, children_total = given.children_total,
    children_settled = given.children_settled, children_closed = given.children_closed, closed_at = given.closed_at,
    expires_at = given.expires_at
FROM given
WHERE executions.id = given.id AND executions.token = given.was;
