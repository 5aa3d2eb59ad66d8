DELETE FROM journal WHERE execution_id = ?1 AND name = ?2;
