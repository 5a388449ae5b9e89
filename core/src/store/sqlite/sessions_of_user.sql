-- A person's sessions that last, newest first.
-- ?1 user, ?2 now
SELECT id, authenticated_at, expires_at, address, device
FROM sessions
WHERE user_id = ?1 AND expires_at > ?2
ORDER BY authenticated_at DESC, id DESC
LIMIT 100
