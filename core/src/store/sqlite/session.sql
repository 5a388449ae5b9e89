-- A session that lasts, of a user who is active.
-- ?1 digest of the cookie, ?2 now
SELECT
    sessions.id AS session_id, sessions.authenticated_at,
    users.id AS user_id, users.username, users.email, users.is_verified, users.is_admin
FROM sessions
JOIN users ON users.id = sessions.user_id
WHERE sessions.digest = ?1 AND sessions.expires_at > ?2 AND users.is_active
