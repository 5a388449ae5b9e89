-- Gives a confidential client another secret; the one before works on until a time.
-- $1 client_id, $2 hash of the new one, $3 until when the old one works, $4 now, $5 audit record
WITH changed AS (
    UPDATE clients
    SET previous_secret_hash = CASE WHEN $3::int8 > $4::int8 THEN client_secret_hash END,
        previous_secret_expires_at = CASE WHEN $3::int8 > $4::int8 THEN to_timestamp(0) + $3::int8 * interval '1 microsecond' END,
        client_secret_hash = $2::text,
        updated_at = to_timestamp(0) + $4::int8 * interval '1 microsecond'
    WHERE client_id = $1::text AND client_type <> 'public'
    RETURNING id
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM changed, jsonb_populate_record(NULL::audit_log, $5::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM changed)
