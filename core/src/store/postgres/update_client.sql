-- Changes a client as a whole, unless it was changed since it was read; a scope that does not exist is left out.
-- $1 client_id, $2 name, $3 redirect URIs, $4 home page, $5 logo, $6 authentication method, $7 whether PKCE is required,
-- $8 grant types, $9 scopes, $10 resources, $11 whether it may introspect everything, $12 whether it is active,
-- $13 when it had been changed last, $14 now, $15 audit record
WITH changed AS (
    UPDATE clients
    SET client_name = $2::text,
        redirect_uris = $3::text[],
        client_uri = $4::text,
        logo_uri = $5::text,
        auth_method = $6::text,
        require_pkce = $7::bool,
        grant_types = $8::text[],
        resources = $10::text[],
        introspect_all = $11::bool,
        is_active = $12::bool,
        updated_at = to_timestamp(0) + $14::int8 * interval '1 microsecond'
    WHERE client_id = $1::text AND COALESCE((extract(epoch FROM updated_at) * 1000000)::int8, 0) = $13::int8
    RETURNING id
), withdrawn AS (
    DELETE FROM client_scopes cs
    USING changed c, scopes s
    WHERE cs.client_id = c.id AND s.id = cs.scope_id AND s.scope_name <> ALL ($9::text[])
), allowed AS (
    INSERT INTO client_scopes (client_id, scope_id)
    SELECT c.id, s.id
    FROM changed c
    JOIN scopes s ON s.scope_name = ANY ($9::text[])
    ON CONFLICT DO NOTHING
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM changed, jsonb_populate_record(NULL::audit_log, $15::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM changed)
