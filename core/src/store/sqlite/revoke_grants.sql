-- Revokes a person's grants, to all clients or to one.
-- ?1 user, ?2 client, if any, ?3 now
UPDATE grants SET revoked_at = ?3 WHERE user_id = ?1 AND client_id = coalesce(?2, client_id) AND revoked_at IS NULL
