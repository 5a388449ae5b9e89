-- What a refresh token is good for, and the client that asks (RFC 7662 §2.2). One row: without the token's columns
-- where it cannot be used, without the client's where there is none of that name; with the published keys if a time is given.
-- $1 client_id that asks, if any (see introspect_access_token.sql), $2 token, $3 generation, $4 digest of its secret, $5 now,
-- $6 now, if the keys are wanted
SELECT
    published_signing_keys($6::int8),
    token.client_id,
    token.user_id,
    token.username,
    token.email,
    COALESCE(token.is_verified, false),
    COALESCE(token.is_admin, false),
    token.scopes,
    token.resources,
    (extract(epoch FROM token.rotated_at) * 1000000)::int8,
    (extract(epoch FROM token.expires_at) * 1000000)::int8,
    c.id, c.client_id, c.name, c.client_type, c.secret_hash, c.redirect_uris, c.client_uri, c.auth_method,
    c.require_pkce, c.grant_types, c.resources, c.introspect_all, c.is_active, c.scopes,
    c.previous_secret_hash, c.previous_secret_expires_at
FROM (VALUES (COALESCE($1::text, ''))) AS caller (client_id)
LEFT JOIN client_details c ON c.client_id = caller.client_id
LEFT JOIN (
    SELECT
        owner.client_id::text,
        u.id AS user_id,
        u.username::text,
        u.email::text,
        u.is_verified,
        u.is_admin,
        g.scopes,
        g.resources,
        t.rotated_at,
        least(t.idle_expires_at, g.expires_at) AS expires_at
    FROM tokens t
    JOIN grants g ON g.id = t.grant_id
    JOIN clients owner ON owner.id = g.client_id
    JOIN users u ON u.id = g.user_id
    WHERE t.id = $2::uuid
        AND t.token_type = 'refresh'
        AND t.generation = $3::int8
        AND t.digest = $4::bytea
        AND NOT COALESCE(t.invalidated, false)
        AND least(t.idle_expires_at, g.expires_at) > to_timestamp(0) + $5::int8 * interval '1 microsecond'
        AND g.revoked_at IS NULL
        AND COALESCE(owner.is_active, true)
        AND u.is_active
) AS token ON true
