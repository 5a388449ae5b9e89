-- A client by its name in the protocol, with its active scopes (RFC 6749 §2.2), and the published keys if a time is
-- given. One row: without the client's columns where there is none of that name.
-- $1 client_id, if any (see introspect_access_token.sql), $2 now, if the keys are wanted
SELECT
    published_signing_keys($2::int8),
    c.id, c.client_id, c.name, c.client_type, c.secret_hash, c.redirect_uris, c.client_uri, c.auth_method,
    c.require_pkce, c.grant_types, c.resources, c.introspect_all, c.is_active, c.scopes,
    c.previous_secret_hash, c.previous_secret_expires_at
FROM (VALUES (COALESCE($1::text, ''))) AS asked (client_id)
LEFT JOIN client_details c ON c.client_id = asked.client_id
