-- Ends a session.
-- ?1 digest of the cookie
DELETE FROM sessions WHERE digest = ?1
