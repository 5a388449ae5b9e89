-- Stores a grant.
-- ?1 key, ?2 user, ?3 client, ?4 scopes, ?5 resources, ?6 when the person authenticated, ?7 now, ?8 end, ?9 address,
-- ?10 device
INSERT INTO grants (
    id, user_id, client_id, scopes, resources, authenticated_at, created_at, expires_at, address, device
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
