-- Writes down that a client's access token was revoked.
-- ?1 jti, ?2 its client_id, ?3 its end, ?4 key of the client that revokes it, ?5 now
INSERT INTO tokens (id, jti, client_id, token_type, expires_at, invalidated, created_at)
SELECT randomblob(16), ?1, id, 'access', ?3, 1, ?5 FROM clients WHERE id = ?4 AND client_id = ?2 AND ?3 > ?5
ON CONFLICT (jti) DO NOTHING
