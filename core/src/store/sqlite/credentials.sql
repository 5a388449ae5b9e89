-- What a login of an account compares.
-- ?1 user
SELECT id AS user_id, username, email, is_verified, is_admin, password_hash, is_active FROM users WHERE id = ?1
