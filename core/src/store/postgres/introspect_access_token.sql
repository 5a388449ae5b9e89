-- What access_token_state.sql tells, and the client that asks (RFC 7662 §2.2). One row: without the user's columns
-- where a client acts for itself, without the client's where there is none of that name.
-- $1 jti, $2 the token's client_id, $3 its grant, if any, $4 its end, $5 now, $6 client_id that asks
SELECT
    $4::int8 > $5::int8
        AND COALESCE(owner.is_active, owner.id IS NOT NULL)
        AND ($3::uuid IS NULL OR u.id IS NOT NULL)
        AND NOT EXISTS (SELECT FROM tokens t WHERE t.jti = $1::text AND t.invalidated),
    u.id,
    u.username::text,
    u.email::text,
    COALESCE(u.is_verified, false),
    COALESCE(u.is_admin, false),
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
FROM (VALUES ($6::text, $2::text)) AS asked (caller, owner)
LEFT JOIN clients c ON c.client_id = asked.caller
LEFT JOIN clients owner ON owner.client_id = asked.owner
LEFT JOIN grants g ON g.id = $3::uuid
    AND g.revoked_at IS NULL
    AND g.expires_at > to_timestamp(0) + $5::int8 * interval '1 microsecond'
LEFT JOIN users u ON u.id = g.user_id AND u.is_active
