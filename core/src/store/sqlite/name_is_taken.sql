-- ?1 name
SELECT 1 FROM users WHERE username = ?1
