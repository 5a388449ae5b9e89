-- A person's grants that something can still be done with, newest first: with a refresh token that is good, or so new
-- that an access token may be.
-- ?1 user, ?2 when an access token that is still good was made at the earliest, ?3 now
SELECT
    clients.id, clients.client_id, clients.client_name,
    grants.scopes, grants.created_at, grants.address, grants.device
FROM grants
JOIN clients ON clients.id = grants.client_id
LEFT JOIN tokens ON tokens.grant_id = grants.id AND tokens.token_type = 'refresh' AND NOT tokens.invalidated
WHERE grants.user_id = ?1
    AND grants.revoked_at IS NULL
    AND grants.expires_at > ?3
    AND (tokens.idle_expires_at > ?3 OR grants.created_at > ?2)
ORDER BY grants.created_at DESC, grants.id DESC
LIMIT 500
