-- Removes records of the audit log from before a time.
-- ?1 time, ?2 limit
DELETE FROM audit_log
WHERE id IN (SELECT id FROM audit_log WHERE occurred_at < ?1 ORDER BY occurred_at LIMIT ?2)
