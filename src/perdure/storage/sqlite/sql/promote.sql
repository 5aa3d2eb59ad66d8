-- Work of these queues that fell due since anybody looked; at most so many.
UPDATE executions SET place = CASE WHEN crashes >= 2 THEN 2 ELSE 1 END
WHERE rowid IN (
    SELECT rowid FROM executions
    WHERE place = 0 AND queue IN (SELECT value FROM json_each(?2)) AND due_at <= ?1
    LIMIT ?3
);
