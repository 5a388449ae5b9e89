-- Whether an access token still holds: it was not revoked, its client is active and, where it came of a grant, so are
-- the grant and its user. With it the client that asks (RFC 7662 §2.2), and the published keys if a time is given. One row:
-- without the user's columns where a client acts for itself, without the asking client's where there is none of that name.
-- $1 jti, $2 the token's client_id, $3 its grant, if any, $4 its end, $5 now, $6 client_id that asks, if any,
-- $7 now, if the keys are wanted
-- A null would make a plan of its own cheaper than the one for all, and the planner plan each time: what is not there is
-- looked for under a name that nothing has.
SELECT
    published_signing_keys($7::int8),
    $4::int8 > $5::int8
        AND COALESCE(owner.is_active, owner.id IS NOT NULL)
        AND ($3::uuid IS NULL OR u.id IS NOT NULL)
        AND NOT EXISTS (SELECT FROM tokens t WHERE t.jti = $1::text AND t.invalidated),
    u.id, u.username::text, u.email::text, COALESCE(u.is_verified, false), COALESCE(u.is_admin, false),
    c.id, c.client_id, c.name, c.client_type, c.secret_hash, c.redirect_uris, c.client_uri, c.auth_method,
    c.require_pkce, c.grant_types, c.resources, c.introspect_all, c.is_active, c.scopes,
    c.previous_secret_hash, c.previous_secret_expires_at
FROM (VALUES (COALESCE($6::text, ''), $2::text)) AS asked (caller, owner)
LEFT JOIN client_details c ON c.client_id = asked.caller
LEFT JOIN clients owner ON owner.client_id = asked.owner
LEFT JOIN grants g ON g.id = COALESCE($3::uuid, '00000000-0000-0000-0000-000000000000')
    AND g.revoked_at IS NULL
    AND g.expires_at > to_timestamp(0) + $5::int8 * interval '1 microsecond'
LEFT JOIN users u ON u.id = g.user_id AND u.is_active
