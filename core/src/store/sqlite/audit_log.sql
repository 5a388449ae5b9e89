-- Records of the audit log, the newest first.
-- ?1 the record to begin behind, ?2 limit, ?3 event, ?4 outcome, ?5 user, ?6 client, ?7 since, ?8 until (exclusive)
SELECT
    id, occurred_at, event, outcome, actor, user_id, client_id, grant_id, client_address, user_agent, request_id, detail
FROM audit_log
WHERE id < ?1
    AND (?3 IS NULL OR event = ?3)
    AND (?4 IS NULL OR outcome = ?4)
    AND (?5 IS NULL OR user_id = ?5)
    AND (?6 IS NULL OR client_id = ?6)
    AND (?7 IS NULL OR occurred_at >= ?7)
    AND (?8 IS NULL OR occurred_at < ?8)
ORDER BY id DESC
LIMIT ?2
