-- Grants, newest first.
-- ?1 the user whose, ?2 the client_id whose, ?3 whether revoked, ?4 the id to begin behind, ?5 limit, ?6 the one of this id, if only
-- that is wanted
SELECT json_object(
    'id', hex(grants.id),
    'user_id', hex(grants.user_id),
    'username', username,
    'client_id', clients.client_id,
    'scope', (SELECT COALESCE(group_concat(value, ' '), '') FROM json_each(grants.scopes)),
    'resources', json(grants.resources),
    'created_at', grants.created_at,
    'expires_at', grants.expires_at,
    'revoked_at', grants.revoked_at,
    'address', grants.address,
    'device', grants.device
) AS document
FROM grants
JOIN users ON users.id = grants.user_id
JOIN clients ON clients.id = grants.client_id
WHERE (?1 IS NULL OR grants.user_id = ?1)
    AND (?2 IS NULL OR clients.client_id = ?2)
    AND (?3 IS NULL OR (grants.revoked_at IS NOT NULL) = ?3)
    AND (?4 IS NULL OR grants.id < ?4)
    AND (?6 IS NULL OR grants.id = ?6)
ORDER BY grants.id DESC
LIMIT ?5
