-- A mail could not be sent: it is due again at some time, or given up. Nothing happens where somebody else has taken it
-- up since.
-- ?1 mail, ?2 attempts, ?3 error, ?4 when it is due again, if ever
UPDATE outbox SET due_at = ?4, last_error = ?3 WHERE id = ?1 AND attempts = ?2
