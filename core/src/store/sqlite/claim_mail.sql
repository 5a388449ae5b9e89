-- Takes up a mail until the end of a lease.
-- ?1 mail, ?2 end of the lease
UPDATE outbox SET due_at = ?2, attempts = attempts + 1 WHERE id = ?1
