-- Compares and sets the hash of a password.
-- ?1 key of the account, ?2 the hash to replace, ?3 the new one, ?4 now
UPDATE users SET password_hash = ?3, updated_at = ?4 WHERE id = ?1 AND password_hash = ?2
