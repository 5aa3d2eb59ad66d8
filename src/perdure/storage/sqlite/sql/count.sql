SELECT count(*) AS number FROM executions AS e WHERE {terms};
