-- Ends a person's sessions, but for one that may go on.
-- ?1 user, ?2 digest of that one's cookie, if any
DELETE FROM sessions WHERE user_id = ?1 AND digest IS NOT ?2
