SELECT draining FROM workers WHERE id = ?1;
