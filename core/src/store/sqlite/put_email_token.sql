-- Puts a token in the place of an older one.
-- ?1 user, ?2 purpose, ?3 digest, ?4 address, ?5 now, ?6 end
INSERT INTO email_tokens (user_id, purpose, digest, email, created_at, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (user_id, purpose) DO UPDATE
SET digest = excluded.digest,
    email = excluded.email,
    created_at = excluded.created_at,
    expires_at = excluded.expires_at
