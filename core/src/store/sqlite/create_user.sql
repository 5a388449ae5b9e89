-- Makes an account, unless its address or name is taken.
-- ?1 key, ?2 address in lower case, ?3 name, ?4 hash of the password, ?5 whether the address is verified, ?6 whether it
-- is an administrator, ?7 now
INSERT INTO users (id, email, username, password_hash, is_verified, is_admin, created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
ON CONFLICT DO NOTHING
