SELECT draining FROM perdure.workers WHERE id = $1;
