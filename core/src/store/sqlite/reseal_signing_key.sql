-- Compares and sets the sealed private key.
-- ?1 kid, ?2 what to replace, ?3 the new one
UPDATE signing_keys SET sealed = ?3 WHERE kid = ?1 AND sealed = ?2
