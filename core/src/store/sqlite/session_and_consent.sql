-- A session that lasts, of a user who is active, and the scopes that the user allowed a client before.
-- ?1 digest of the cookie, ?2 key of the client, ?3 now
SELECT
    sessions.id AS session_id, sessions.authenticated_at,
    users.id AS user_id, users.username, users.email, users.is_verified, users.is_admin,
    consents.scopes AS consented
FROM sessions
JOIN users ON users.id = sessions.user_id
LEFT JOIN consents ON consents.user_id = users.id AND consents.client_id = ?2
WHERE sessions.digest = ?1 AND sessions.expires_at > ?3 AND users.is_active
