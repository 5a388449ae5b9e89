-- Clients as operators see them, by client_id: every scope, active or not.
-- ?1 the one of this client_id, if only that is wanted, ?2 part of client_id or name in lower case, ?3 type, ?4 whether active,
-- ?5 the client_id to begin behind, ?6 limit
SELECT json_object(
    'client_id', client_id,
    'client_name', client_name,
    'client_type', client_type,
    'redirect_uris', json(redirect_uris),
    'client_uri', client_uri,
    'logo_uri', logo_uri,
    'token_endpoint_auth_method', auth_method,
    'grant_types', json(grant_types),
    'scope', (
        SELECT COALESCE(group_concat(scope_name, ' ' ORDER BY scope_name), '')
        FROM client_scopes
        JOIN scopes ON scopes.id = client_scopes.scope_id
        WHERE client_scopes.client_id = clients.id
    ),
    'resources', json(resources),
    'introspect_all', json(iif(introspect_all, 'true', 'false')),
    'require_pkce', json(iif(require_pkce, 'true', 'false')),
    'active', json(iif(is_active, 'true', 'false')),
    'previous_secret_expires_at', previous_secret_expires_at,
    'created_at', created_at,
    'updated_at', updated_at
) AS document
FROM clients
WHERE (?1 IS NULL OR client_id = ?1)
    AND (?2 IS NULL OR instr(lower(client_id), ?2) > 0 OR instr(lower(client_name), ?2) > 0)
    AND (?3 IS NULL OR client_type = ?3)
    AND (?4 IS NULL OR is_active = ?4)
    AND (?5 IS NULL OR client_id > ?5)
ORDER BY client_id
LIMIT ?6
