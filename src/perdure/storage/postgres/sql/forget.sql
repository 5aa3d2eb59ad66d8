DELETE FROM perdure.journal
WHERE execution_id = $1 AND name = $2 AND NOT (kind = 'signal' AND left(scope, 10) = 'forgotten ');
