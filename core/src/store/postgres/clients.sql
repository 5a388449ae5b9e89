-- Every client with its active scopes, by its name in the protocol.
SELECT
    c.id, c.client_id, c.name, c.client_type, c.secret_hash, c.redirect_uris, c.client_uri, c.auth_method,
    c.require_pkce, c.grant_types, c.resources, c.introspect_all, c.is_active, c.scopes
FROM client_details c
ORDER BY c.client_id COLLATE "C"
