-- The client that asks, if it exists, and a refresh token, if it can be used.
-- ?1 client_id of the caller, ?2 key of the token, ?3 its generation, ?4 digest of its secret, ?5 now
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
    grants.id IS NOT NULL AND users.id IS NOT NULL AND owner.id IS NOT NULL AS token_is_active,
    owner.client_id AS owner_client_id, grants.scopes AS token_scopes, grants.resources AS token_resources,
    tokens.rotated_at, tokens.ends_at,
    users.id AS user_id, users.username, users.email, users.is_verified, users.is_admin
FROM (SELECT 1)
LEFT JOIN clients AS caller ON caller.client_id = ?1
LEFT JOIN tokens ON tokens.id = ?2 AND tokens.generation = ?3 AND tokens.digest = ?4 AND tokens.ends_at > ?5
LEFT JOIN grants ON grants.id = tokens.grant_id AND grants.revoked_at IS NULL
LEFT JOIN users ON users.id = grants.user_id AND users.is_active
LEFT JOIN clients AS owner ON owner.id = tokens.client_id AND owner.is_active
