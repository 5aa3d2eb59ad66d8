-- A root is its own root; the others have an index.
e.id IN (
    SELECT id FROM perdure.executions
    WHERE parent_id IS NOT NULL AND root_id = ANY (ARRAY(SELECT jsonb_array_elements_text($0::jsonb)))
    UNION ALL
    SELECT id FROM perdure.executions
    WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($0::jsonb))) AND root_id = id
)
