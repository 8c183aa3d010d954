-- A batch: its creation, which never changes, and where it stands.
CREATE TABLE batch (
  n INTEGER PRIMARY KEY,
  batch_id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  request BLOB NOT NULL,
  definitions BLOB NOT NULL,
  model_pins TEXT NOT NULL,
  labels TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  items INTEGER NOT NULL,
  state INTEGER NOT NULL,
  standing BLOB NOT NULL,
  last_sequence INTEGER NOT NULL,
  deleted INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX batch_by_id ON batch (batch_id, tenant) WHERE deleted = 0;
CREATE INDEX batch_open ON batch (n) WHERE state < 6 AND deleted = 0;
CREATE INDEX batch_deleted ON batch (n) WHERE deleted = 1;

CREATE TABLE batch_item (
  batch_n INTEGER NOT NULL,
  item INTEGER NOT NULL,
  item_id TEXT NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (batch_n, item)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX batch_item_by_id ON batch_item (batch_n, item_id);

-- What happened, in order, without a gap; one row a transaction.
CREATE TABLE batch_chunk (
  batch_n INTEGER NOT NULL,
  first_sequence INTEGER NOT NULL,
  records BLOB NOT NULL,
  PRIMARY KEY (batch_n, first_sequence)
) STRICT, WITHOUT ROWID;

-- A cell is a session; 0 = the session is no cell.
ALTER TABLE session ADD COLUMN batch_n INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN cell INTEGER NOT NULL DEFAULT -1;
CREATE UNIQUE INDEX session_by_cell ON session (batch_n, cell) WHERE batch_n > 0;
CREATE INDEX session_by_unsuccessful_cell ON session (batch_n, cell) WHERE batch_n > 0 AND state > 6;

-- Cells that have begun, by state.
CREATE TABLE cell_count (
  batch_n INTEGER NOT NULL,
  state INTEGER NOT NULL,
  cells INTEGER NOT NULL,
  PRIMARY KEY (batch_n, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER cell_counted_in AFTER INSERT ON session WHEN new.batch_n > 0 BEGIN
  INSERT INTO cell_count VALUES (new.batch_n, new.state, 1) ON CONFLICT DO UPDATE SET cells = cells + 1;
END;
CREATE TRIGGER cell_counted_over AFTER UPDATE OF state ON session WHEN new.batch_n > 0 AND old.state <> new.state BEGIN
  UPDATE cell_count SET cells = cells - 1 WHERE batch_n = old.batch_n AND state = old.state;
  INSERT INTO cell_count VALUES (new.batch_n, new.state, 1) ON CONFLICT DO UPDATE SET cells = cells + 1;
END;

-- What the items of a batch need is kept as long as the batch.
CREATE TABLE batch_artifact_use (
  digest BLOB NOT NULL,
  batch_n INTEGER NOT NULL,
  PRIMARY KEY (digest, batch_n)
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_artifact_use_by_batch ON batch_artifact_use (batch_n);
