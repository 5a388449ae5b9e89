-- Appends a record to the audit log, once.
-- ?1 id, ?2 time, ?3 event, ?4 outcome, ?5 user, ?6 client, ?7 grant, ?8 client address, ?9 user agent, ?10 request,
-- ?11 detail, ?12 actor
INSERT INTO audit_log (
    id, occurred_at, event, outcome, user_id, client_id, grant_id, client_address, user_agent, request_id, detail,
    actor
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT (id) DO NOTHING
