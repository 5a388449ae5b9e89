-- Registers a client, unless its name is taken, with those of the scopes that exist (RFC 7591 §2).
-- $1 id, $2 client_id, $3 name, $4 type, $5 secret hash, $6 redirect URIs, $7 home page, $8 authentication method,
-- $9 whether PKCE is required, $10 grant types, $11 scopes, $12 resources, $13 whether it may introspect everything,
-- $14 now, $15 logo, $16 whether it is active, $17 audit record
WITH created AS (
    INSERT INTO clients (
        id, client_id, client_name, client_type, client_secret_hash, redirect_uris, client_uri, logo_uri, auth_method,
        require_pkce, grant_types, resources, introspect_all, is_active, created_at, updated_at
    )
    VALUES (
        $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text[], $7::text, $15::text, $8::text,
        $9::bool, $10::text[], $12::text[], $13::bool, $16::bool,
        to_timestamp(0) + $14::int8 * interval '1 microsecond',
        to_timestamp(0) + $14::int8 * interval '1 microsecond'
    )
    ON CONFLICT DO NOTHING
    RETURNING id
), allowed AS (
    INSERT INTO client_scopes (client_id, scope_id)
    SELECT created.id, s.id
    FROM created
    JOIN scopes s ON s.scope_name = ANY ($11::text[])
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM created, jsonb_populate_record(NULL::audit_log, $17::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM created)
