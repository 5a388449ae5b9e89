-- Sets a password whatever it was.
-- ?1 user, ?2 hash, ?3 now
UPDATE users SET password_hash = ?2, updated_at = ?3 WHERE id = ?1
