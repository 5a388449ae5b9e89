-- Sessions that last, newest first.
-- $1 the user whose, $2 the id to begin behind, $3 limit, $4 now, $5 the one of this id, if only that is wanted
SELECT jsonb_build_object(
    'id', s.id,
    'user_id', s.user_id,
    'username', u.username,
    'authenticated_at', (extract(epoch FROM s.authenticated_at) * 1000000)::int8,
    'expires_at', (extract(epoch FROM s.expires_at) * 1000000)::int8,
    'address', s.address,
    'device', s.device
)
FROM sessions s
JOIN users u ON u.id = s.user_id
WHERE ($1::uuid IS NULL OR s.user_id = $1::uuid)
    AND ($2::uuid IS NULL OR s.id < $2::uuid)
    AND ($5::uuid IS NULL OR s.id = $5::uuid)
    AND s.expires_at > to_timestamp(0) + $4::int8 * interval '1 microsecond'
ORDER BY s.id DESC
LIMIT $3::int8
