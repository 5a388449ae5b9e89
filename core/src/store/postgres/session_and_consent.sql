-- The login of a cookie, and what its user allowed a client before (OAuth 2.1 §7.3.1).
-- $1 digest of the cookie, $2 client, $3 now
SELECT
    s.id,
    u.id,
    u.username::text,
    u.email::text,
    COALESCE(u.is_verified, false),
    COALESCE(u.is_admin, false),
    (extract(epoch FROM s.authenticated_at) * 1000000)::int8,
    c.scopes
FROM sessions s
JOIN users u ON u.id = s.user_id
LEFT JOIN consents c ON c.user_id = u.id AND c.client_id = $2::uuid
WHERE s.digest = $1::bytea
    AND s.expires_at > to_timestamp(0) + $3::int8 * interval '1 microsecond'
    AND u.is_active
