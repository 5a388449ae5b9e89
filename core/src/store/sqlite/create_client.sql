-- Registers a client, unless its client_id is taken.
-- ?1 key, ?2 client_id, ?3 name, ?4 hash of its secret, ?5 type, ?6 redirect URIs, ?7 home page, ?8 authentication
-- method, ?9 whether PKCE is demanded, ?10 grant types, ?11 resources, ?12 whether it may introspect every token,
-- ?13 now, ?14 logo, ?15 whether it is active
INSERT INTO clients (
    id, client_id, client_name, client_secret_hash, client_type, redirect_uris, client_uri, auth_method, require_pkce,
    grant_types, resources, introspect_all, created_at, updated_at, logo_uri, is_active
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14, ?15)
ON CONFLICT DO NOTHING
