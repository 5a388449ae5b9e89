-- Ends a session, whosever it is.
-- ?1 id
DELETE FROM sessions WHERE id = ?1
