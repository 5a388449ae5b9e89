-- Sets a password, where one hash must be there before, and verifies an address, where it is the account's.
-- ?1 user, ?2 old hash, if it counts, ?3 new hash, ?4 address, if any, ?5 now
UPDATE users
SET password_hash = ?3, is_verified = max(is_verified, coalesce(email = ?4, 0)), updated_at = ?5
WHERE id = ?1 AND password_hash = coalesce(?2, password_hash) AND is_active
