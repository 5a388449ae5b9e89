-- Has an account know an address or a browser.
-- ?1 user, ?2 origin, ?3 until when
INSERT INTO known_origins (user_id, origin, expires_at) VALUES (?1, ?2, ?3)
ON CONFLICT (user_id, origin) DO UPDATE SET expires_at = excluded.expires_at
