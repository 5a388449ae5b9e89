-- ?1 now, ?2 limit
DELETE FROM email_tokens
WHERE digest IN (SELECT digest FROM email_tokens WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
