-- Adds where accounts were logged in to before, and the audit log. What limits count is kept in the process.

-- Addresses and browsers, as keyed digests, from which an account was logged in to.
CREATE TABLE known_origins (
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    origin BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, origin)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_known_origins_expires_at ON known_origins (expires_at);

-- What happened. Nothing refers to other tables: a record outlives whom it is about.
CREATE TABLE audit_log (
    id BLOB PRIMARY KEY,
    occurred_at INTEGER NOT NULL,
    event TEXT NOT NULL,
    outcome TEXT NOT NULL,
    user_id BLOB,
    client_id TEXT,
    grant_id BLOB,
    client_address TEXT,
    user_agent TEXT,
    request_id TEXT,
    detail TEXT
) STRICT;
CREATE INDEX idx_audit_log_occurred_at ON audit_log (occurred_at);
CREATE INDEX idx_audit_log_user_id ON audit_log (user_id, id) WHERE user_id IS NOT NULL;

-- Append-only, whoever asks: a record cannot be changed, and not be deleted on the day it was made. The retention
-- deletes what is older.
CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
WHEN OLD.occurred_at >= (unixepoch() - 86400) * 1000000
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
