-- Whose an address is, and how it is written there.
-- ?1 address in lower case
SELECT id AS user_id, email FROM users WHERE email = ?1
