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
  (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: session_exists
SELECT 1 FROM session WHERE n = ?;

-- name: taken_by_request
SELECT session_id, request_digest FROM session WHERE request_id = ? AND tenant = ?;

-- name: any_removed_start
SELECT 1 FROM request WHERE method = 'PostWorkflowExecute' LIMIT 1;

-- name: removed_start
SELECT subject, digest FROM request WHERE request_id = ? AND tenant = ? AND method = 'PostWorkflowExecute';

-- name: keep_start
-- Its request_id outlives a session that is removed; that of a step's session is nobody's but the coordinator's.
INSERT OR IGNORE INTO request
SELECT tenant, 'PostWorkflowExecute', request_id, request_digest, session_id, created_us FROM session
WHERE n = ? AND request_id IS NOT NULL AND parent_session_id = '';

-- name: update_session
UPDATE session SET state = column1, attempt = column2, started_us = column3, ended_us = column4, deadline_us = column5,
  budget_us = column6, last_sequence = column7, in_flight = column8, recoveries = column9, result = column10
FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
WHERE n = column11 AND last_sequence = column12;

-- name: last_sequence
SELECT last_sequence FROM session WHERE n = ?;

-- name: last_chunk
SELECT records FROM chunk WHERE session_n = ? ORDER BY first_sequence DESC LIMIT 1;

-- name: insert_chunk
INSERT INTO chunk (session_n, first_sequence, records) VALUES (?, ?, ?);

-- name: insert_artifact_use
INSERT OR IGNORE INTO artifact_use (digest, session_n) VALUES (?, ?);

-- name: insert_reusable
-- The last session that made or took a result has it: that one is likely to stay the longest.
INSERT OR REPLACE INTO reusable VALUES (?, ?, ?, ?, ?);

-- name: read_reusable
SELECT step_key, output FROM reusable WHERE tenant = ? AND identity = ?;

-- name: delete_reusable
DELETE FROM reusable WHERE session_n = ?;

-- name: artifact_used
SELECT 1 FROM artifact_use WHERE digest = ?1 UNION ALL SELECT 1 FROM batch_artifact_use WHERE digest = ?1 LIMIT 1;

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

-- name: read_interface
SELECT files, is_live FROM interface WHERE tenant = ? AND workflow_id = ?;

-- name: list_interfaces
SELECT tenant, workflow_id, files FROM interface WHERE is_live;

-- name: put_interface
INSERT OR REPLACE INTO interface VALUES (?, ?, ?, ?);

-- name: end_interface
UPDATE interface SET is_live = 0 WHERE tenant = ? AND workflow_id = ?;

-- name: list_workflows_without_interface
SELECT workflow.tenant, workflow.workflow FROM workflow LEFT JOIN interface USING (tenant, workflow_id)
WHERE files IS NULL;

-- name: read_request
SELECT digest, subject FROM request WHERE tenant = ? AND method = ? AND request_id = ?;

-- name: insert_request
INSERT OR IGNORE INTO request VALUES (?, ?, ?, ?, ?, ?);

-- name: delete_old_requests
-- Those of a batch, and of the last put of a workflow, stay as long as these; a start stands in the row of its session.
DELETE FROM request WHERE created_us < ?1 AND (tenant, method, request_id) NOT IN (
  SELECT last.tenant, last.method, last.request_id
  FROM (SELECT tenant, method, request_id, subject, max(created_us) FROM request
        WHERE method = 'PutProcessingWorkflow' GROUP BY tenant, subject) AS last
  JOIN workflow ON workflow.tenant = last.tenant AND workflow.workflow_id = last.subject
  UNION ALL
  SELECT made.tenant, made.method, made.request_id
  FROM request AS made JOIN batch ON batch.tenant = made.tenant AND batch.batch_id = made.subject AND deleted = 0
  WHERE made.method = 'PostBatchCreate');

-- name: insert_batch
-- A batch_id that is taken leaves the row out.
INSERT OR IGNORE INTO batch
  (batch_id, tenant, request, definitions, model_pins, labels, created_us, items, state, standing, last_sequence, deleted)
VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, 0) RETURNING n;

-- name: batch_is_leaving
SELECT 1 FROM batch WHERE deleted = 1 AND batch_id = ? AND tenant = ?;

-- name: batch_items_end
SELECT n, items, state FROM batch WHERE batch_id = ? AND tenant = ? AND deleted = 0;

-- name: count_batch_items
UPDATE batch SET items = items + ? WHERE n = ?;

-- name: insert_batch_item
INSERT OR IGNORE INTO batch_item VALUES (?, ?, ?, ?);

-- name: batch_item_exists
SELECT item FROM batch_item WHERE batch_n = ? AND item_id = ?;

-- name: insert_batch_artifact_use
INSERT OR IGNORE INTO batch_artifact_use (digest, batch_n) VALUES (?, ?);

-- name: update_batch
UPDATE batch SET state = ?, standing = ? WHERE n = ? AND deleted = 0;

-- name: number_batch_records
UPDATE batch SET last_sequence = last_sequence + ? WHERE n = ? RETURNING last_sequence, state, batch_id;

-- name: insert_batch_chunk
INSERT INTO batch_chunk VALUES (?, ?, ?);

-- name: count_cells
SELECT state, cells FROM cell_count WHERE batch_n = ? AND cells > 0;

-- name: read_batch
SELECT * FROM batch WHERE batch_id = ? AND tenant = ? AND deleted = 0;

-- name: read_open_batches
SELECT * FROM batch WHERE state BETWEEN 2 AND 5 AND deleted = 0 ORDER BY n;

-- name: read_batch_items
SELECT item, item_id, data FROM batch_item WHERE batch_n = ? AND item >= ? ORDER BY item LIMIT ?;

-- name: read_batch_item_ids
SELECT item, item_id FROM batch_item WHERE batch_n = ? AND item BETWEEN ? AND ?;

-- name: read_cells
SELECT * FROM session WHERE batch_n = ? AND batch_n > 0 AND cell BETWEEN ? AND ? ORDER BY cell;

-- name: read_cell
SELECT * FROM session WHERE batch_n = ? AND batch_n > 0 AND cell = ?;

-- name: last_cell
SELECT coalesce(max(cell), -1) FROM session WHERE batch_n = ? AND batch_n > 0;

-- name: list_cell_numbers
SELECT cell FROM session WHERE batch_n = ? AND batch_n > 0 AND cell >= ? ORDER BY cell;

-- name: count_failed_since
SELECT count(*) FROM session WHERE batch_n = ? AND batch_n > 0 AND state > 6 AND ended_us >= ?
  AND cell NOT IN (SELECT value FROM json_each(?));

-- name: cells_to_retry
SELECT cell, session_id, ended_us FROM session
WHERE batch_n = ? AND batch_n > 0 AND state > 6 AND cell >= ? AND ended_us < ? ORDER BY cell LIMIT ?;

-- name: read_batch_chunks
-- From the chunk on that holds the record behind a sequence number.
SELECT first_sequence, records FROM batch_chunk WHERE batch_n = ?1 AND first_sequence >= coalesce(
  (SELECT max(first_sequence) FROM batch_chunk WHERE batch_n = ?1 AND first_sequence <= ?2 + 1), 0)
ORDER BY first_sequence;

-- name: mark_batch_deleted
UPDATE batch SET deleted = 1 WHERE n = ? AND deleted = 0;

-- name: read_deleted_batches
SELECT n FROM batch WHERE deleted = 1;

-- name: live_cells
SELECT coalesce(sum(cells), 0) FROM cell_count WHERE batch_n = ? AND state < 6;

-- name: some_cells
SELECT session_id, tenant FROM session WHERE batch_n = ? AND batch_n > 0 LIMIT ?;

-- name: artifacts_of_batch
SELECT digest FROM batch_artifact_use WHERE batch_n = ?;

-- name: delete_batch_items
DELETE FROM batch_item WHERE batch_n = ?;

-- name: delete_batch_chunks
DELETE FROM batch_chunk WHERE batch_n = ?;

-- name: delete_batch_artifact_uses
DELETE FROM batch_artifact_use WHERE batch_n = ?;

-- name: delete_cell_counts
DELETE FROM cell_count WHERE batch_n = ?;

-- name: delete_batch
DELETE FROM batch WHERE n = ?;
