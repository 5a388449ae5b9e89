-- Whether an access token still holds: it was not revoked, its client is active and, where it came of a grant, so are
-- the grant and its user. One row: without the user's columns where a client acts for itself.
-- $1 jti, $2 the token's client_id, $3 its grant, if any, $4 its end, $5 now
SELECT
    $4::int8 > $5::int8
        AND COALESCE(owner.is_active, owner.id IS NOT NULL)
        AND ($3::uuid IS NULL OR u.id IS NOT NULL)
        AND NOT EXISTS (SELECT FROM tokens t WHERE t.jti = $1::text AND t.invalidated),
    u.id,
    u.username::text,
    u.email::text,
    COALESCE(u.is_verified, false),
    COALESCE(u.is_admin, false)
FROM (VALUES ($2::text)) AS asked (owner)
LEFT JOIN clients owner ON owner.client_id = asked.owner
LEFT JOIN grants g ON g.id = $3::uuid
    AND g.revoked_at IS NULL
    AND g.expires_at > to_timestamp(0) + $5::int8 * interval '1 microsecond'
LEFT JOIN users u ON u.id = g.user_id AND u.is_active
