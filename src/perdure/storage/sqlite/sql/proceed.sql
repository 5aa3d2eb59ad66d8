-- Running executions with a first entry since their claim: they are no suspects any more (R11).
WITH given (id, token) AS (VALUES {rows:2})
UPDATE executions SET crashes = 0, marks = marks | 1
FROM given
WHERE executions.id = given.id AND executions.token = given.token AND executions.status = 'running';
