SELECT id, token FROM executions WHERE id IN (SELECT value FROM json_each(?1)) AND status = 'running';
