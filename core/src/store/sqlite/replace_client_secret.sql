-- Compares and sets the hash of a client's secret.
-- ?1 key of the client, ?2 the hash to replace, ?3 the new one, ?4 now
UPDATE clients SET client_secret_hash = ?3, updated_at = ?4 WHERE id = ?1 AND client_secret_hash = ?2
