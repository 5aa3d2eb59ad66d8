-- Held by this transaction, so that none of them renews its lease meanwhile.
SELECT id FROM perdure.workers WHERE lease_until <= $1 ORDER BY id FOR UPDATE;
