-- Ends one session of a person.
-- ?1 user, ?2 session
DELETE FROM sessions WHERE user_id = ?1 AND id = ?2
