-- ?1 key, ?2 recipient, ?3 subject, ?4 sealed body, ?5 now, ?6 end
INSERT INTO outbox (id, recipient, subject, sealed, created_at, expires_at, due_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5)
ON CONFLICT DO NOTHING
