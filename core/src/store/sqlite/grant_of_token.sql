-- The grant of a client's refresh token, if it is not revoked, and whose it is.
-- ?1 key of the token, ?2 client
SELECT grants.id AS grant_id, grants.user_id
FROM tokens
JOIN grants ON grants.id = tokens.grant_id
WHERE tokens.id = ?1 AND tokens.client_id = ?2 AND grants.revoked_at IS NULL
