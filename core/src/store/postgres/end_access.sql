-- Ends every session of a person, and revokes every grant.
-- $1 user, $2 now, $3 audit record
WITH ended AS (
    DELETE FROM sessions WHERE user_id = $1::uuid
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM jsonb_populate_record(NULL::audit_log, $3::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
UPDATE grants
SET revoked_at = to_timestamp(0) + $2::int8 * interval '1 microsecond'
WHERE user_id = $1::uuid AND revoked_at IS NULL
