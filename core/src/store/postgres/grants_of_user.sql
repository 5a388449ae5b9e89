-- A person's grants that something can still be done with, newest first: with a refresh token that is good, or so new
-- that an access token may be.
-- $1 user, $2 when an access token that is still good was made at the earliest, $3 now
SELECT
    c.id,
    c.client_id::text,
    c.client_name::text,
    g.scopes,
    (extract(epoch FROM g.created_at) * 1000000)::int8,
    g.address,
    g.device
FROM grants g
JOIN clients c ON c.id = g.client_id
LEFT JOIN tokens t ON t.grant_id = g.id AND t.token_type = 'refresh' AND NOT COALESCE(t.invalidated, false)
WHERE g.user_id = $1::uuid
    AND g.revoked_at IS NULL
    AND g.expires_at > to_timestamp(0) + $3::int8 * interval '1 microsecond'
    AND (
        t.idle_expires_at > to_timestamp(0) + $3::int8 * interval '1 microsecond'
        OR g.created_at > to_timestamp(0) + $2::int8 * interval '1 microsecond'
    )
ORDER BY g.created_at DESC, g.id DESC
LIMIT 500
