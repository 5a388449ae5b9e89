-- Ends a person's links that were sent to another address than theirs.
-- ?1 user
DELETE FROM email_tokens WHERE user_id = ?1 AND email <> (SELECT email FROM users WHERE id = ?1)
