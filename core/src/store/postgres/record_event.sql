-- Appends a record to the audit log, once.
-- $1 audit record
INSERT INTO audit_log
SELECT e.* FROM jsonb_populate_record(NULL::audit_log, $1::jsonb) AS e
ON CONFLICT DO NOTHING
