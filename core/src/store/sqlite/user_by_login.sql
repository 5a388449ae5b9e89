-- An account by its address or name: the address as it was typed goes first, then the name, then the address in
-- another case.
-- ?1 what was typed, ?2 the same in lower case
SELECT id AS user_id, username, email, is_verified, is_admin, password_hash, is_active
FROM users
WHERE email = ?2 OR username = ?1
ORDER BY email COLLATE BINARY = ?1 DESC, username = ?1 DESC
LIMIT 1
