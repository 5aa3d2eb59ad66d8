SELECT count(*) AS number FROM perdure.executions AS e WHERE {terms};
