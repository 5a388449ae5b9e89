-- Mail that is due.
-- ?1 now, ?2 limit
SELECT id, recipient, subject, sealed, created_at, expires_at, attempts
FROM outbox
WHERE due_at <= ?1 AND expires_at > ?1
ORDER BY due_at
LIMIT ?2
