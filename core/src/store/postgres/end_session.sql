-- Ends a browser's login.
-- $1 digest of the cookie
DELETE FROM sessions WHERE digest = $1::bytea
