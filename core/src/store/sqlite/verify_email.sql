-- An account's address is verified, and may be a new one.
-- ?1 user, ?2 address, ?3 name, ?4 now
UPDATE users SET email = ?2, username = ?3, is_verified = 1, updated_at = ?4 WHERE id = ?1
