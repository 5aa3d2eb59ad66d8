-- What was inserted since `last_row`.
SELECT id FROM executions WHERE rowid > ?1;
