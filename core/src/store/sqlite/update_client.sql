-- Changes a client but for its scopes, unless it was changed since it was read.
-- ?1 client_id, ?2 name, ?3 redirect URIs, ?4 home page, ?5 logo, ?6 authentication method, ?7 whether PKCE is required,
-- ?8 grant types, ?9 resources, ?10 whether it may introspect everything, ?11 whether it is active, ?12 when it had been changed
-- last, ?13 now
UPDATE clients
SET client_name = ?2, redirect_uris = ?3, client_uri = ?4, logo_uri = ?5, auth_method = ?6, require_pkce = ?7, grant_types = ?8,
    resources = ?9, introspect_all = ?10, is_active = ?11, updated_at = ?13
WHERE client_id = ?1 AND updated_at = ?12
