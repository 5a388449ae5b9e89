-- A client with its active scopes.
-- ?1 client_id
SELECT
    id, client_id, client_name, client_type, client_secret_hash, redirect_uris, client_uri, auth_method, require_pkce,
    grant_types, resources, introspect_all, is_active, previous_secret_hash, previous_secret_expires_at,
    (
        SELECT json_group_array(json_array(scope_name, description, is_default) ORDER BY scope_name)
        FROM client_scopes
        JOIN scopes ON scopes.id = client_scopes.scope_id
        WHERE client_scopes.client_id = clients.id AND scopes.is_active
    ) AS scopes
FROM clients
WHERE client_id = ?1
