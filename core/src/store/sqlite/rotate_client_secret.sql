-- Gives a confidential client another secret; the one before works on until a time.
-- ?1 client_id, ?2 hash of the new one, ?3 until when the old one works, ?4 now
UPDATE clients
SET previous_secret_hash = iif(?3 > ?4, client_secret_hash, NULL), previous_secret_expires_at = iif(?3 > ?4, ?3, NULL),
    client_secret_hash = ?2, updated_at = ?4
WHERE client_id = ?1 AND client_type <> 'public'
