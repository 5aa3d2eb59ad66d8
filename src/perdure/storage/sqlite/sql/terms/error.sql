-- `fold` is Python's lower case: SQLite's own knows ASCII alone.
e.failure IS NOT NULL AND EXISTS (
    SELECT 1 FROM json_each(?) AS given
    WHERE instr(fold(coalesce(json_extract(e.failure, '$.message'), '')), given.value) > 0
        OR instr(fold(coalesce(json_extract(e.failure, '$.type'), '')), given.value) > 0
)
