-- Sessions that last, newest first.
-- ?1 the user whose, ?2 the id to begin behind, ?3 limit, ?4 now, ?5 the one of this id, if only that is wanted
SELECT json_object(
    'id', hex(sessions.id),
    'user_id', hex(user_id),
    'username', username,
    'authenticated_at', authenticated_at,
    'expires_at', expires_at,
    'address', address,
    'device', device
) AS document
FROM sessions
JOIN users ON users.id = sessions.user_id
WHERE (?1 IS NULL OR user_id = ?1)
    AND (?2 IS NULL OR sessions.id < ?2)
    AND (?5 IS NULL OR sessions.id = ?5)
    AND expires_at > ?4
ORDER BY sessions.id DESC
LIMIT ?3
