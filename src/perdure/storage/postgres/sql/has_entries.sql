SELECT EXISTS (SELECT 1 FROM perdure.journal WHERE execution_id = $1) AS found;
