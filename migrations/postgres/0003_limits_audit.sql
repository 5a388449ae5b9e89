-- Adds what limits count, where accounts were logged in to before, and the audit log.
SET LOCAL lock_timeout = '5s';

-- Permits and attempts by keyed digests of addresses and accounts: nobody can be recognised from them. What is lost in
-- a crash of the server is forgotten; in return no request waits for the disk.
CREATE UNLOGGED TABLE rate_limits (
    key BYTEA PRIMARY KEY,
    -- Permits that were asked for in this window, or attempts.
    used BIGINT NOT NULL,
    blocked_until TIMESTAMP WITH TIME ZONE,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX idx_rate_limits_ends_at ON rate_limits (ends_at);

-- Addresses and browsers, as keyed digests, from which an account was logged in to.
CREATE TABLE known_origins (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    origin BYTEA NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (user_id, origin)
);
CREATE INDEX idx_known_origins_expires_at ON known_origins (expires_at);

-- What happened. Nothing refers to other tables: a record outlives whom it is about.
CREATE TABLE audit_log (
    id UUID PRIMARY KEY,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    event TEXT NOT NULL,
    outcome TEXT NOT NULL,
    user_id UUID,
    client_id TEXT,
    grant_id UUID,
    client_address TEXT,
    user_agent TEXT,
    request_id TEXT,
    detail TEXT
);
CREATE INDEX idx_audit_log_occurred_at ON audit_log (occurred_at);
CREATE INDEX idx_audit_log_user_id ON audit_log (user_id, id) WHERE user_id IS NOT NULL;

-- Append-only, whoever asks: a record cannot be changed, and not be deleted on the day it was made. The retention
-- deletes what is older.
CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.occurred_at < now() - interval '1 day' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only';
END
$$;
CREATE TRIGGER audit_log_no_update BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_is_append_only();
CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();
