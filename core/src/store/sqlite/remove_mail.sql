-- A mail has gone, unless somebody else has taken it up since.
-- ?1 mail, ?2 attempts
DELETE FROM outbox WHERE id = ?1 AND attempts = ?2
