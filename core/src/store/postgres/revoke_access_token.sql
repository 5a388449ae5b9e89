-- Revokes a client's own access token (RFC 7009 §2.1): its identifier is kept until the token would have ended. Records
-- the event. Tells whether there was anything to revoke.
-- $1 jti, $2 the token's client_id, $3 end of the token, $4 client that asks, $5 now, $6 audit record
WITH revoked AS (
    INSERT INTO tokens (jti, client_id, token_type, invalidated, expires_at, created_at)
    SELECT
        $1::text, c.id, 'access', true,
        to_timestamp(0) + $3::int8 * interval '1 microsecond',
        to_timestamp(0) + $5::int8 * interval '1 microsecond'
    FROM clients c
    WHERE c.id = $4::uuid AND c.client_id = $2::text AND $3::int8 > $5::int8
    ON CONFLICT (jti) DO NOTHING
    RETURNING 1
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM revoked, jsonb_populate_record(NULL::audit_log, $6::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM revoked)
