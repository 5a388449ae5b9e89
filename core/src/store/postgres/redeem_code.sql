-- Uses an authorization code: once, by its own client, with the redirect URI and PKCE verifier of its request; a
-- second use revokes the grant (RFC 6749 §4.1.2 and §4.1.3, RFC 7636 §4.6). The code's row is locked first, so of
-- concurrent uses one issues and the others see that it did. The order of the decisions is that of grant/code.rs.
-- $1 digest of the code, $2 client, $3 redirect URI if sent, $4 challenge of the verifier, $5 now,
-- $6 refresh token to issue, if any, $7 digest of its secret, $8 its end unless it is used, $9 resources asked for
WITH code AS MATERIALIZED (
    SELECT
        a.id,
        a.client_id,
        a.redirect_uri,
        a.code_challenge,
        a.expires_at AS code_expires_at,
        a.redeemed_at,
        g.id AS grant_id,
        g.user_id,
        g.scopes,
        g.resources,
        g.authenticated_at,
        g.expires_at,
        g.revoked_at IS NOT NULL OR NOT u.is_active AS is_revoked,
        to_timestamp(0) + $5::int8 * interval '1 microsecond' AS now
    FROM authorization_codes a
    JOIN grants g ON g.id = a.grant_id
    JOIN users u ON u.id = g.user_id
    WHERE a.code = $1::text
    FOR NO KEY UPDATE OF a
), decision AS MATERIALIZED (
    SELECT
        code.*,
        CASE
            WHEN client_id <> $2::uuid
                OR redirect_uri <> COALESCE($3::text, redirect_uri)
                OR code_challenge IS DISTINCT FROM $4::text THEN 'mismatched'
            WHEN redeemed_at IS NOT NULL THEN 'replayed'
            WHEN code_expires_at <= now THEN 'expired'
            WHEN is_revoked THEN 'revoked'
            WHEN NOT $9::text[] <@ resources THEN 'target_exceeded'
            ELSE 'issued'
        END AS outcome
    FROM code
), redeemed AS (
    UPDATE authorization_codes a
    SET redeemed_at = d.now
    FROM decision d
    WHERE a.id = d.id AND d.outcome = 'issued'
), issued AS (
    INSERT INTO tokens (
        id, jti, user_id, client_id, token_type, grant_id, generation, digest, rotated_at, idle_expires_at,
        idle_expires_on, expires_at, created_at
    )
    SELECT
        $6::uuid, $6::uuid::text, d.user_id, d.client_id, 'refresh', d.grant_id, 0, $7::bytea, d.now,
        to_timestamp(0) + $8::int8 * interval '1 microsecond',
        ((to_timestamp(0) + $8::int8 * interval '1 microsecond') AT TIME ZONE 'UTC')::date,
        d.expires_at, d.now
    FROM decision d
    WHERE d.outcome = 'issued' AND $6::uuid IS NOT NULL
), revoked AS (
    UPDATE grants g
    SET revoked_at = d.now
    FROM decision d
    WHERE g.id = d.grant_id AND g.revoked_at IS NULL AND d.outcome = 'replayed'
)
SELECT
    outcome,
    grant_id,
    user_id,
    scopes,
    resources,
    (extract(epoch FROM authenticated_at) * 1000000)::int8,
    (extract(epoch FROM expires_at) * 1000000)::int8
FROM decision
