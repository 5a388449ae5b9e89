-- Forgets addresses and browsers that were not seen for long.
-- ?1 now, ?2 limit
DELETE FROM known_origins
WHERE (user_id, origin) IN (
    SELECT user_id, origin FROM known_origins WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2
)
