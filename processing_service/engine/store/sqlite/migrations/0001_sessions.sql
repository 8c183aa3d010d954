-- Who may write: a coordinator raises the epoch when it starts, and each of its transactions checks that it still stands.
CREATE TABLE owner (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  epoch INTEGER NOT NULL
) STRICT;
INSERT INTO owner VALUES (1, 0);

-- Snapshots of definitions, one a meaning, shared by the sessions that started with it.
CREATE TABLE definition (
  digest BLOB PRIMARY KEY,
  workflow BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workflow (
  tenant TEXT NOT NULL,
  workflow_id TEXT NOT NULL,
  fold TEXT NOT NULL,
  digest BLOB NOT NULL,
  workflow BLOB NOT NULL,
  revision INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, workflow_id),
  UNIQUE (tenant, fold)
) STRICT, WITHOUT ROWID;

-- One row a session: its start, which never changes, and where it stands, a projection of its journal.
CREATE TABLE session (
  n INTEGER PRIMARY KEY,
  session_id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  workflow_id TEXT NOT NULL,
  definition_digest BLOB NOT NULL,
  request BLOB NOT NULL,
  created_us INTEGER NOT NULL,
  start_budget_us INTEGER NOT NULL,
  request_id TEXT,
  request_digest BLOB,
  model_id TEXT NOT NULL,
  priority INTEGER NOT NULL,
  admission_class INTEGER NOT NULL,
  durability INTEGER NOT NULL,
  labels TEXT NOT NULL,
  parent_session_id TEXT NOT NULL,
  batch_id TEXT NOT NULL,
  item_id TEXT NOT NULL,
  depth INTEGER NOT NULL,
  traceparent TEXT NOT NULL,
  model_pin TEXT NOT NULL,
  state INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  started_us INTEGER NOT NULL,
  ended_us INTEGER NOT NULL,
  deadline_us INTEGER NOT NULL,
  budget_us INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  in_flight INTEGER NOT NULL,
  recoveries INTEGER NOT NULL,
  result BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX session_by_id ON session (session_id, tenant);
CREATE UNIQUE INDEX session_by_request ON session (request_id, tenant) WHERE request_id IS NOT NULL;
CREATE INDEX session_open ON session (n) WHERE state < 6;
CREATE INDEX session_by_parent ON session (parent_session_id, n) WHERE parent_session_id <> '';
CREATE INDEX session_by_batch ON session (batch_id, n) WHERE batch_id <> '';

-- The truth: records in order, without a gap. first_sequence is that of the chunk's first record.
CREATE TABLE chunk (
  session_n INTEGER NOT NULL,
  first_sequence INTEGER NOT NULL,
  records BLOB NOT NULL,
  PRIMARY KEY (session_n, first_sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE session_count (
  tenant TEXT NOT NULL,
  state INTEGER NOT NULL,
  sessions INTEGER NOT NULL,
  PRIMARY KEY (tenant, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER session_counted_in AFTER INSERT ON session BEGIN
  INSERT INTO session_count VALUES (new.tenant, new.state, 1)
    ON CONFLICT DO UPDATE SET sessions = sessions + 1;
END;
CREATE TRIGGER session_counted_over AFTER UPDATE OF state ON session WHEN old.state <> new.state BEGIN
  UPDATE session_count SET sessions = sessions - 1 WHERE tenant = old.tenant AND state = old.state;
  INSERT INTO session_count VALUES (new.tenant, new.state, 1)
    ON CONFLICT DO UPDATE SET sessions = sessions + 1;
END;
CREATE TRIGGER session_counted_out AFTER DELETE ON session BEGIN
  UPDATE session_count SET sessions = sessions - 1 WHERE tenant = old.tenant AND state = old.state;
END;

-- Which sessions need which artifacts; an artifact that none needs is removed after a grace.
CREATE TABLE artifact_use (
  digest BLOB NOT NULL,
  session_n INTEGER NOT NULL,
  PRIMARY KEY (digest, session_n)
) STRICT, WITHOUT ROWID;
CREATE INDEX artifact_use_by_session ON artifact_use (session_n);

-- request_id of mutating calls other than the start of a session; subject is what the call made or named.
CREATE TABLE request (
  tenant TEXT NOT NULL,
  method TEXT NOT NULL,
  request_id TEXT NOT NULL,
  digest BLOB NOT NULL,
  subject TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, method, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_by_age ON request (created_us);
