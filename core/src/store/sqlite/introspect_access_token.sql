-- The client that asks, if it exists, and whether an access token is good: not over, not revoked, of an active client
-- and, if it has a grant, of one that is live and whose user is active.
-- ?1 client_id of the caller, ?2 client_id of the token, ?3 its jti, ?4 its grant, if any, ?5 its end, ?6 now
SELECT
    caller.id, caller.client_id, caller.client_name, caller.client_type, caller.client_secret_hash,
    caller.redirect_uris, caller.client_uri, caller.auth_method, caller.require_pkce, caller.grant_types,
    caller.resources, caller.introspect_all, caller.is_active, caller.previous_secret_hash,
    caller.previous_secret_expires_at,
    (
        SELECT json_group_array(json_array(scope_name, description, is_default) ORDER BY scope_name)
        FROM client_scopes
        JOIN scopes ON scopes.id = client_scopes.scope_id
        WHERE client_scopes.client_id = caller.id AND scopes.is_active
    ) AS scopes,
    ?5 > ?6 AND owner.id IS NOT NULL AND (?4 IS NULL OR users.id IS NOT NULL) AS token_is_active,
    users.id AS user_id, users.username, users.email, users.is_verified, users.is_admin
FROM (SELECT 1)
LEFT JOIN clients AS caller ON caller.client_id = ?1
LEFT JOIN clients AS owner
    ON owner.client_id = ?2 AND owner.is_active AND NOT EXISTS (SELECT 1 FROM tokens WHERE jti = ?3 AND invalidated)
LEFT JOIN grants ON grants.id = ?4 AND grants.revoked_at IS NULL AND grants.expires_at > ?6
LEFT JOIN users ON users.id = grants.user_id AND users.is_active
