-- Where the lock files of workers are to be looked for.
SELECT id, boot_id, inode FROM workers;
