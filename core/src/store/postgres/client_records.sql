-- Clients as operators see them, by client_id: every scope, active or not.
-- $1 the one of this client_id, if only that is wanted, $2 part of client_id or name in lower case, $3 type, $4 whether active,
-- $5 the client_id to begin behind, $6 limit
SELECT jsonb_build_object(
    'client_id', c.client_id,
    'client_name', c.client_name,
    'client_type', c.client_type,
    'redirect_uris', array_remove(c.redirect_uris, NULL),
    'client_uri', c.client_uri,
    'logo_uri', c.logo_uri,
    'token_endpoint_auth_method', CASE WHEN c.client_type = 'public' THEN 'none' ELSE COALESCE(c.auth_method, 'client_secret_basic') END,
    'grant_types', c.grant_types,
    'scope', (
        SELECT COALESCE(string_agg(s.scope_name, ' ' ORDER BY s.scope_name COLLATE "C"), '')
        FROM client_scopes cs
        JOIN scopes s ON s.id = cs.scope_id
        WHERE cs.client_id = c.id
    ),
    'resources', c.resources,
    'introspect_all', c.introspect_all,
    'require_pkce', COALESCE(c.require_pkce, true),
    'active', COALESCE(c.is_active, true),
    'previous_secret_expires_at', (extract(epoch FROM c.previous_secret_expires_at) * 1000000)::int8,
    'created_at', COALESCE((extract(epoch FROM c.created_at) * 1000000)::int8, 0),
    'updated_at', COALESCE((extract(epoch FROM c.updated_at) * 1000000)::int8, 0)
)
FROM clients c
WHERE ($1::text IS NULL OR c.client_id = $1::text)
    AND ($2::text IS NULL OR position($2::text IN lower(c.client_id)) > 0 OR position($2::text IN lower(c.client_name)) > 0)
    AND ($3::text IS NULL OR c.client_type = $3::text)
    AND ($4::bool IS NULL OR COALESCE(c.is_active, true) = $4::bool)
    AND ($5::text IS NULL OR c.client_id COLLATE "C" > $5::text)
ORDER BY c.client_id COLLATE "C"
LIMIT $6::int8
