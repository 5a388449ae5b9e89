-- Ends a person's links of one purpose, or of all.
-- ?1 user, ?2 purpose, if any
DELETE FROM email_tokens WHERE user_id = ?1 AND purpose = coalesce(?2, purpose)
