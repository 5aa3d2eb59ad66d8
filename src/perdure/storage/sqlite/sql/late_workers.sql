SELECT id FROM workers WHERE lease_until <= ?1;
