-- Removes an account with all that is its own, unless it is the last administrator.
-- ?1 id
DELETE FROM users
WHERE id = ?1 AND NOT (is_admin AND is_active AND (SELECT count(*) FROM users WHERE is_admin AND is_active) = 1)
