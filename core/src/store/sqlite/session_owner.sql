-- Whose session it is.
-- ?1 digest of the cookie
SELECT user_id FROM sessions WHERE digest = ?1
