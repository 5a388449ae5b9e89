-- Changes an account but for its password.
-- ?1 id, ?2 address in lower case, ?3 name, ?4 whether verified, ?5 whether an administrator, ?6 whether active, ?7 now
UPDATE users
SET email = ?2, username = ?3, is_verified = ?4, is_admin = ?5, is_active = ?6, updated_at = ?7
WHERE id = ?1
