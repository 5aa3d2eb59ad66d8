WITH RECURSIVE tree (id) AS (
    SELECT ?1
    UNION ALL
    SELECT e.id FROM tree CROSS JOIN executions AS e WHERE e.parent_id = tree.id
)
SELECT count(*) AS size FROM tree;
