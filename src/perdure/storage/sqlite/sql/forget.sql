DELETE FROM journal
WHERE execution_id = ?1 AND name = ?2 AND NOT (kind = 'signal' AND substr(scope, 1, 10) = 'forgotten ');
