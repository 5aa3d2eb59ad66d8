-- Signals that were taken stay taken, though their entries answer nothing any more.
UPDATE OR REPLACE journal SET scope = 'forgotten ' || position
WHERE execution_id = ?1 AND name = ?2 AND kind = 'signal' AND scope = '' AND value IS NOT NULL AND token > 0;
