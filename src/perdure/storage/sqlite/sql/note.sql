-- Small news of executions whose status does not change: progress of the count of crashes, marks, signals, a note.
WITH given (id, was, crashes, marks, signals, progress) AS (VALUES {rows:6})
UPDATE executions SET
    crashes = given.crashes, marks = given.marks, signals = given.signals, progress = given.progress
FROM given
WHERE executions.id = given.id AND executions.token = given.was;
