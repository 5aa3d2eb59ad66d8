-- The journals of whole trees.
WITH RECURSIVE tree (id) AS (
    SELECT value FROM json_each(?1)
    UNION ALL
    SELECT e.id FROM tree CROSS JOIN executions AS e WHERE e.parent_id = tree.id
)
DELETE FROM journal WHERE execution_id IN (SELECT id FROM tree);
