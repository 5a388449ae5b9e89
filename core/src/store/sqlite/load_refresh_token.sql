-- A refresh token with its grant, for the decision what becomes of it.
-- ?1 key
SELECT
    tokens.client_id, tokens.generation, tokens.digest, tokens.previous_digest, tokens.rotated_at,
    tokens.idle_expires_at,
    grants.id AS grant_id, grants.user_id, grants.scopes, grants.resources, grants.authenticated_at,
    grants.expires_at AS grant_expires_at,
    grants.revoked_at IS NOT NULL OR NOT users.is_active AS is_revoked
FROM tokens
JOIN grants ON grants.id = tokens.grant_id
JOIN users ON users.id = grants.user_id
WHERE tokens.id = ?1
