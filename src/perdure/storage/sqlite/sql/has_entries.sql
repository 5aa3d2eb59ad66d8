SELECT EXISTS (SELECT 1 FROM journal WHERE execution_id = ?1) AS found;
