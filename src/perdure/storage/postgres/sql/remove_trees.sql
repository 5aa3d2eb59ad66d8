WITH RECURSIVE tree (id) AS (
    SELECT jsonb_array_elements_text($1::jsonb) COLLATE "C"
    UNION ALL
    SELECT e.id FROM tree JOIN perdure.executions AS e ON e.parent_id = tree.id
)
DELETE FROM perdure.executions WHERE id = ANY (ARRAY(SELECT id FROM tree));
