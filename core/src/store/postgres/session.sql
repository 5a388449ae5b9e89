-- The login of a cookie, while it lasts and its user is active.
-- $1 digest of the cookie, $2 now
SELECT
    s.id,
    u.id,
    u.username::text,
    u.email::text,
    COALESCE(u.is_verified, false),
    COALESCE(u.is_admin, false),
    (extract(epoch FROM s.authenticated_at) * 1000000)::int8
FROM sessions s
JOIN users u ON u.id = s.user_id
WHERE s.digest = $1::bytea
    AND s.expires_at > to_timestamp(0) + $2::int8 * interval '1 microsecond'
    AND u.is_active
