-- Revokes the grant of a client's refresh token, of whichever generation.
-- ?1 key of the token, ?2 client, ?3 now
UPDATE grants
SET revoked_at = ?3
WHERE id = (SELECT grant_id FROM tokens WHERE id = ?1 AND client_id = ?2) AND revoked_at IS NULL
