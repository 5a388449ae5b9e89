-- Grants, newest first.
-- $1 the user whose, $2 the client_id whose, $3 whether revoked, $4 the id to begin behind, $5 limit, $6 the one of this id, if only
-- that is wanted
SELECT jsonb_build_object(
    'id', g.id,
    'user_id', g.user_id,
    'username', u.username,
    'client_id', c.client_id,
    'scope', array_to_string(g.scopes, ' '),
    'resources', g.resources,
    'created_at', (extract(epoch FROM g.created_at) * 1000000)::int8,
    'expires_at', (extract(epoch FROM g.expires_at) * 1000000)::int8,
    'revoked_at', (extract(epoch FROM g.revoked_at) * 1000000)::int8,
    'address', g.address,
    'device', g.device
)
FROM grants g
JOIN users u ON u.id = g.user_id
JOIN clients c ON c.id = g.client_id
WHERE ($1::uuid IS NULL OR g.user_id = $1::uuid)
    AND ($2::text IS NULL OR c.client_id = $2::text)
    AND ($3::bool IS NULL OR (g.revoked_at IS NOT NULL) = $3::bool)
    AND ($4::uuid IS NULL OR g.id < $4::uuid)
    AND ($6::uuid IS NULL OR g.id = $6::uuid)
ORDER BY g.id DESC
LIMIT $5::int8
