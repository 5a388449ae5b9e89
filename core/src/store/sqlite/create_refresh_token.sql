-- Stores the first refresh token of a grant.
-- ?1 key, ?2 the same as text, ?3 grant, ?4 digest of its secret, ?5 when it ends unless it is used, ?6 now
INSERT INTO tokens (
    id, jti, user_id, client_id, token_type, scopes, expires_at, created_at, grant_id, generation, digest, rotated_at,
    idle_expires_at
)
SELECT ?1, ?2, user_id, client_id, 'refresh', scopes, expires_at, ?6, id, 0, ?4, ?6, ?5 FROM grants WHERE id = ?3
