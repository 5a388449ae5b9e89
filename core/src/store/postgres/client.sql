-- A client by its name in the protocol, with its active scopes (RFC 6749 §2.2).
-- $1 client_id
SELECT
    c.id,
    c.client_id::text,
    c.client_name::text,
    c.client_type::text,
    c.client_secret_hash::text,
    array_remove(c.redirect_uris, NULL),
    c.client_uri,
    c.auth_method::text,
    COALESCE(c.require_pkce, true),
    c.grant_types,
    c.resources,
    c.introspect_all,
    COALESCE(c.is_active, true),
    (
        SELECT COALESCE(jsonb_agg(jsonb_build_object(
            'name', s.scope_name,
            'description', COALESCE(s.description, ''),
            'is_default', COALESCE(s.is_default, false)
        )), '[]')
        FROM client_scopes cs
        JOIN scopes s ON s.id = cs.scope_id
        WHERE cs.client_id = c.id AND COALESCE(s.is_active, true)
    )
FROM clients c
WHERE c.client_id = $1::text
