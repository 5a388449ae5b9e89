-- Records of the audit log, the newest first.
-- ?1 the record to begin behind, ?2 limit
SELECT
    id, occurred_at, event, outcome, user_id, client_id, grant_id, client_address, user_agent, request_id, detail
FROM audit_log
WHERE id < ?1
ORDER BY id DESC
LIMIT ?2
