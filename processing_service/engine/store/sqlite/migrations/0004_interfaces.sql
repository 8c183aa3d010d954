-- The service that a workflow has of its own: a FileDescriptorSet. The row stays when the workflow goes, so that no field
-- number is ever given twice.
CREATE TABLE interface (
  tenant TEXT NOT NULL,
  workflow_id TEXT NOT NULL,
  files BLOB NOT NULL,
  is_live INTEGER NOT NULL,
  PRIMARY KEY (tenant, workflow_id)
) STRICT, WITHOUT ROWID;
