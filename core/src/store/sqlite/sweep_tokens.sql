-- ?1 now, ?2 limit
DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE ends_at <= ?1 ORDER BY ends_at LIMIT ?2)
