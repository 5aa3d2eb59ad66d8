-- Executions, their journals and signals, and the workers that run them.
--
-- The first columns of `executions` are small and change often, payloads stand last. Columns that `Row` does not have:
--   place         where it is found: 0 falls due later, 1 due, 2 due and a suspect (crashed twice or more), 3 waits without
--                 a moment, 4 running, 5 completed, 6 settled without success
--   marks         bits: 1 has (had) entries, 2 was suspended once or dropped some, 4 a child was opened again while it ran,
--                 8 waits, and a child without success wakes it
--   signals       how many signals it was sent
--   stale         settled without success before its parent's current attempt (or surely will), or forgotten
--   wake_*, rest_until   of a waiting execution: under which conditions it falls due (`Suspended`)
--   origin        the first name of its task: by it keys are compared, so that a rename changes nothing
--   expires_at    of a closed root: when its retention ends
-- Every index is partial where it can be, so that settled executions are in none that a claim or a commit touches. Some
-- have more columns than they seek by (`place` too): then SQLite reads the index alone.

CREATE TABLE executions (
    id TEXT NOT NULL PRIMARY KEY,
    task_name TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    status TEXT NOT NULL,
    place INTEGER NOT NULL,
    token INTEGER NOT NULL,
    worker_id TEXT,
    generation INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL,
    drifts INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER,
    deadline_at INTEGER,
    parent_id TEXT,
    slot TEXT,
    slot_generation INTEGER NOT NULL DEFAULT 0,
    root_id TEXT NOT NULL,
    depth INTEGER NOT NULL DEFAULT 0,
    max_crashes INTEGER NOT NULL,
    retention INTEGER,
    children_total INTEGER NOT NULL DEFAULT 0,
    children_settled INTEGER NOT NULL DEFAULT 0,
    children_closed INTEGER NOT NULL DEFAULT 0,
    marks INTEGER NOT NULL DEFAULT 0,
    signals INTEGER NOT NULL DEFAULT 0,
    stale INTEGER NOT NULL DEFAULT 0,
    wake_any INTEGER,
    wake_all INTEGER,
    rest_until INTEGER,
    wake_signals TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    closed_at INTEGER,
    expires_at INTEGER,
    input_digest TEXT,
    idempotency_key TEXT,
    external_key TEXT,
    origin TEXT NOT NULL,
    options TEXT,
    version TEXT,
    tags TEXT,
    trace TEXT,
    cancel_reason TEXT,
    failure TEXT,
    waits TEXT,
    progress TEXT,
    input TEXT NOT NULL,
    result TEXT
);

CREATE INDEX executions_due ON executions (queue, task_name, priority, due_at, id, status, place) WHERE place = 1;
CREATE INDEX executions_suspect ON executions (queue, task_name, priority, due_at, id, status, place) WHERE place = 2;
CREATE INDEX executions_later ON executions (queue, due_at, task_name, status, place) WHERE place = 0;
CREATE INDEX executions_asleep ON executions (task_name, queue, place) WHERE place = 3;
CREATE INDEX executions_deadline ON executions (queue, deadline_at)
    WHERE deadline_at IS NOT NULL AND status IN ('pending', 'waiting');
CREATE INDEX executions_held ON executions (worker_id) WHERE worker_id IS NOT NULL;
CREATE UNIQUE INDEX executions_key ON executions (origin, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX executions_external ON executions (origin, external_key, status) WHERE external_key IS NOT NULL;
CREATE UNIQUE INDEX executions_slot ON executions (parent_id, slot, slot_generation) WHERE parent_id IS NOT NULL;
CREATE INDEX executions_root ON executions (root_id) WHERE parent_id IS NOT NULL;
CREATE INDEX executions_age ON executions (created_at);
CREATE INDEX executions_completed ON executions (task_name, queue, place) WHERE place = 5;
CREATE INDEX executions_unsuccessful ON executions (task_name, queue, status, place) WHERE place = 6;
CREATE INDEX executions_unsuccessful_age ON executions (created_at) WHERE place = 6;
CREATE INDEX executions_failed_children ON executions (parent_id, stale, place) WHERE place = 6 AND parent_id IS NOT NULL;
CREATE INDEX executions_closed ON executions (closed_at)
    WHERE closed_at IS NOT NULL AND parent_id IS NULL AND retention IS NULL;
CREATE INDEX executions_expiry ON executions (expires_at, closed_at, id) WHERE expires_at IS NOT NULL;

CREATE TABLE journal (
    execution_id TEXT NOT NULL,
    key TEXT NOT NULL,
    scope TEXT NOT NULL,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT,
    failure TEXT,
    due_at INTEGER,
    recorded_at INTEGER NOT NULL,
    started_at INTEGER,
    token INTEGER NOT NULL,
    PRIMARY KEY (execution_id, key, scope)
) WITHOUT ROWID;

-- `number` counts per name from 1, `position` over all names of one execution.
CREATE TABLE signals (
    execution_id TEXT NOT NULL,
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    id TEXT NOT NULL,
    value TEXT NOT NULL,
    position INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (execution_id, name, number)
) WITHOUT ROWID;

CREATE UNIQUE INDEX signals_id ON signals (execution_id, id);

-- What external tasks were completed with, by the first name of the task and key. `expires_at`: when the task's own retention ends.
CREATE TABLE externals (
    origin TEXT NOT NULL,
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    value TEXT,
    failure TEXT,
    completed_at INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (origin, key)
) WITHOUT ROWID;

CREATE INDEX externals_age ON externals (completed_at);
CREATE INDEX externals_expiry ON externals (expires_at) WHERE expires_at IS NOT NULL;

-- `boot_id` and `inode` name the host and the lock file whose release shows that the worker is dead.
CREATE TABLE workers (
    id TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    process INTEGER NOT NULL,
    version TEXT NOT NULL,
    queues TEXT NOT NULL,
    tasks TEXT NOT NULL,
    concurrency INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    draining INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    inode INTEGER NOT NULL
) WITHOUT ROWID;
