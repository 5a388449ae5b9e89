-- A person's sessions that last, newest first.
-- $1 user, $2 now
SELECT
    id,
    (extract(epoch FROM authenticated_at) * 1000000)::int8,
    (extract(epoch FROM expires_at) * 1000000)::int8,
    address,
    device
FROM sessions
WHERE user_id = $1::uuid AND expires_at > to_timestamp(0) + $2::int8 * interval '1 microsecond'
ORDER BY authenticated_at DESC, id DESC
LIMIT 100
