-- The account of a login, as user_by_login.sql finds it, and whether it knows the address and the browser.
-- ?1 what was typed, ?2 the same in lower case, ?3 the address, if known, ?4 the browser, if known, ?5 now
SELECT
    users.id AS user_id, users.username, users.email, users.is_verified, users.is_admin, users.password_hash,
    users.is_active,
    EXISTS (
        SELECT 1 FROM known_origins WHERE user_id = users.id AND origin = ?3 AND expires_at > ?5
    ) AS knows_address,
    EXISTS (
        SELECT 1 FROM known_origins WHERE user_id = users.id AND origin = ?4 AND expires_at > ?5
    ) AS knows_device
FROM users
WHERE users.email = ?2 OR users.username = ?1
ORDER BY users.email COLLATE BINARY = ?1 DESC, users.username = ?1 DESC
LIMIT 1
