-- Starts a session.
-- ?1 key, ?2 digest of the cookie, ?3 user, ?4 when the password was entered, ?5 end, ?6 address, ?7 device
INSERT INTO sessions (id, digest, user_id, authenticated_at, expires_at, address, device)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
