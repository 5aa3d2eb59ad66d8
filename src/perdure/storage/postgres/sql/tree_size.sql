WITH RECURSIVE tree (id) AS (
    SELECT $1::text COLLATE "C"
    UNION ALL
    SELECT e.id FROM tree JOIN perdure.executions AS e ON e.parent_id = tree.id
)
SELECT count(*) AS size FROM tree;
