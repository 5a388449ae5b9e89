-- Whose link this is, while it is good.
-- ?1 digest of the token, ?2 purpose, ?3 now
SELECT
    users.id AS user_id, users.username, users.email, users.is_verified, users.is_admin,
    users.password_hash, users.is_active, email_tokens.email AS token_email
FROM email_tokens
JOIN users ON users.id = email_tokens.user_id
WHERE email_tokens.digest = ?1 AND email_tokens.purpose = ?2 AND email_tokens.expires_at > ?3 AND users.is_active
