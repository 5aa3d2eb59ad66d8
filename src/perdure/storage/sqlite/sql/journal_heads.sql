SELECT id, children_settled, external_key IS NOT NULL AS external FROM executions WHERE id IN (SELECT value FROM json_each(?1));
