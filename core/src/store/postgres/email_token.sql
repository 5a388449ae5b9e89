-- Whose link this is, while it is good.
-- $1 digest of the token, $2 purpose, $3 now
SELECT
    a.id,
    a.username::text,
    a.email::text,
    COALESCE(a.is_verified, false),
    COALESCE(a.is_admin, false),
    a.password_hash::text,
    a.is_active,
    t.email
FROM email_tokens t
JOIN users a ON a.id = t.user_id
WHERE t.digest = $1::bytea
    AND t.purpose = $2::text
    AND t.expires_at > to_timestamp(0) + $3::int8 * interval '1 microsecond'
    AND a.is_active
