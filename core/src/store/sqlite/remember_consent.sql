-- Adds to the scopes that a person allowed a client.
-- ?1 user, ?2 client, ?3 scopes, ?4 now
INSERT INTO consents (user_id, client_id, scopes, updated_at)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (user_id, client_id) DO UPDATE SET
    scopes = (
        SELECT json_group_array(value)
        FROM (SELECT value FROM json_each(consents.scopes) UNION SELECT value FROM json_each(excluded.scopes))
    ),
    updated_at = excluded.updated_at
