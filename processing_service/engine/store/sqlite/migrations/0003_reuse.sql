-- Results of steps that others may take, by the SHA-256 of what they were computed from; they go with their session.
CREATE TABLE reusable (
  tenant TEXT NOT NULL,
  identity BLOB NOT NULL,
  session_n INTEGER NOT NULL,
  step_key TEXT NOT NULL,
  output BLOB NOT NULL,
  PRIMARY KEY (tenant, identity)
) STRICT, WITHOUT ROWID;
CREATE INDEX reusable_by_session ON reusable (session_n);
