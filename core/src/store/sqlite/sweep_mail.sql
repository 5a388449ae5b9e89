-- ?1 when it was of no use any more, ?2 limit
DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
