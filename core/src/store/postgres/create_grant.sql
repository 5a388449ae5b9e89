-- Stores a person's decision: the grant, the authorization code that leads to it (RFC 6749 §4.1.2), and the consent to
-- remember, and the event. A grant has one code, which therefore goes by the grant's id. Repeating the statement
-- changes nothing.
-- $1 grant, $2 user, $3 client, $4 scopes, $5 resources, $6 when they authenticated, $7 now, $8 end of the grant,
-- $9 digest of the code, $10 end of the code, $11 redirect URI, $12 PKCE challenge, $13 whether to remember consent,
-- $14 audit record, $15 address, $16 device
WITH granted AS (
    INSERT INTO grants (
        id, user_id, client_id, scopes, resources, authenticated_at, created_at, expires_at, address, device
    )
    VALUES (
        $1::uuid, $2::uuid, $3::uuid, $4::text[], $5::text[],
        to_timestamp(0) + $6::int8 * interval '1 microsecond',
        to_timestamp(0) + $7::int8 * interval '1 microsecond',
        to_timestamp(0) + $8::int8 * interval '1 microsecond',
        $15::text, $16::text
    )
    ON CONFLICT DO NOTHING
), issued AS (
    INSERT INTO authorization_codes (
        id, code, client_id, user_id, scopes, redirect_uri, code_challenge, code_challenge_method, grant_id,
        expires_at, created_at
    )
    VALUES (
        $1::uuid, $9::text, $3::uuid, $2::uuid, $4::text[], $11::text, $12::text,
        CASE WHEN $12::text IS NOT NULL THEN 'S256' END,
        $1::uuid,
        to_timestamp(0) + $10::int8 * interval '1 microsecond',
        to_timestamp(0) + $7::int8 * interval '1 microsecond'
    )
    ON CONFLICT DO NOTHING
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM jsonb_populate_record(NULL::audit_log, $14::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
INSERT INTO consents (user_id, client_id, scopes, updated_at)
SELECT $2::uuid, $3::uuid, $4::text[], to_timestamp(0) + $7::int8 * interval '1 microsecond'
WHERE $13::bool
ON CONFLICT (user_id, client_id) DO UPDATE
SET scopes = ARRAY(SELECT DISTINCT unnest(consents.scopes || EXCLUDED.scopes) AS scope ORDER BY scope),
    updated_at = EXCLUDED.updated_at
WHERE NOT consents.scopes @> EXCLUDED.scopes
