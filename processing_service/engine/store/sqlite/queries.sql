-- name: raise_epoch
-- Takes ownership: every transaction of an earlier owner fails from now on.
UPDATE owner SET epoch = epoch + 1 RETURNING epoch;

-- name: read_epoch
SELECT epoch FROM owner;

-- name: list_tables
SELECT name FROM sqlite_master WHERE type = 'table';

-- name: take_room
-- Rolled back: it shows whether the file may grow.
INSERT INTO definition VALUES (x'', zeroblob(1048576));

-- name: charge_recovery
-- Bounds poison steps even if the record of their start was lost.
UPDATE session SET recoveries = recoveries + 1 WHERE state < 6;

-- name: insert_definition
INSERT OR IGNORE INTO definition (digest, workflow) VALUES (?, ?);

-- name: insert_session
-- A session_id or request_id that is taken leaves the row out; `taken` finds which.
INSERT OR IGNORE INTO session VALUES
  (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: session_exists
SELECT 1 FROM session WHERE n = ?;

-- name: taken_by_request
SELECT session_id, request_digest FROM session WHERE request_id = ? AND tenant = ?;

-- name: update_session
UPDATE session SET state = ?, attempt = ?, started_us = ?, ended_us = ?, deadline_us = ?, budget_us = ?,
  last_sequence = ?, in_flight = ?, recoveries = ?, result = ?
WHERE n = ? AND last_sequence = ?;

-- name: last_sequence
SELECT last_sequence FROM session WHERE n = ?;

-- name: insert_chunk
INSERT INTO chunk (session_n, first_sequence, records) VALUES (?, ?, ?);

-- name: insert_artifact_use
INSERT OR IGNORE INTO artifact_use (digest, session_n) VALUES (?, ?);

-- name: artifact_used
SELECT 1 FROM artifact_use WHERE digest = ? LIMIT 1;

-- name: state_of_session
SELECT state FROM session WHERE session_id = ? AND tenant = ?;

-- name: session_tree
-- A session and those that its steps began, and theirs, as far as they have ended.
WITH RECURSIVE tree (n, session_id) AS (
  SELECT n, session_id FROM session WHERE session_id = ?1 AND tenant = ?2
  UNION ALL
  SELECT child.n, child.session_id FROM session AS child JOIN tree ON child.parent_session_id = tree.session_id
  WHERE child.parent_session_id <> '' AND child.tenant = ?2 AND child.state >= 6)
SELECT n FROM tree;

-- name: artifacts_of_session
SELECT digest FROM artifact_use WHERE session_n = ?;

-- name: last_number
SELECT coalesce(max(n), 0) FROM session;

-- name: read_session
SELECT * FROM session WHERE session_id = ? AND tenant = ?;

-- name: read_definition
SELECT workflow FROM definition WHERE digest = ?;

-- name: read_chunks
-- From the chunk on that holds the record behind a sequence number.
SELECT records FROM chunk WHERE session_n = ?1 AND first_sequence >= coalesce(
  (SELECT max(first_sequence) FROM chunk WHERE session_n = ?1 AND first_sequence <= ?2 + 1), 0)
ORDER BY first_sequence;

-- name: read_open_sessions
SELECT * FROM session WHERE state < 6 ORDER BY n;

-- name: count_sessions
SELECT state, sessions FROM session_count WHERE tenant = ?;

-- name: delete_chunks
DELETE FROM chunk WHERE session_n = ?;

-- name: delete_artifact_uses
DELETE FROM artifact_use WHERE session_n = ?;

-- name: delete_session
DELETE FROM session WHERE n = ?;

-- name: read_workflow
SELECT workflow FROM workflow WHERE tenant = ? AND workflow_id = ?;

-- name: read_workflow_row
SELECT digest, revision, created_us, workflow_id FROM workflow WHERE tenant = ? AND fold = ?;

-- name: list_workflows
SELECT workflow FROM workflow WHERE tenant = ? AND workflow_id > ? ORDER BY workflow_id LIMIT ?;

-- name: list_workflow_ids
SELECT workflow_id FROM workflow WHERE tenant = ? ORDER BY workflow_id;

-- name: count_workflows
SELECT count(*) FROM workflow WHERE tenant = ?;

-- name: put_workflow
INSERT OR REPLACE INTO workflow VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: delete_workflow
DELETE FROM workflow WHERE tenant = ? AND workflow_id = ?;

-- name: read_request
SELECT digest, subject FROM request WHERE tenant = ? AND method = ? AND request_id = ?;

-- name: insert_request
INSERT OR IGNORE INTO request VALUES (?, ?, ?, ?, ?, ?);

-- name: delete_old_requests
DELETE FROM request WHERE created_us < ?;
