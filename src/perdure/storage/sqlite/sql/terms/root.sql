-- A root is its own root; the others have an index.
e.id IN (
    SELECT id FROM executions WHERE parent_id IS NOT NULL AND root_id IN (SELECT value FROM json_each(?))
    UNION ALL
    SELECT id FROM executions WHERE id IN (SELECT value FROM json_each(?)) AND root_id = id
)
