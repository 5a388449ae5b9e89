-- ?1 now, ?2 limit
DELETE FROM authorization_codes
WHERE id IN (SELECT id FROM authorization_codes WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
