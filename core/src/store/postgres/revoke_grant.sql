-- Revokes a grant, whosever it is, and with it all tokens that came of it.
-- $1 id, $2 now, $3 audit record
WITH revoked AS (
    UPDATE grants
    SET revoked_at = to_timestamp(0) + $2::int8 * interval '1 microsecond'
    WHERE id = $1::uuid AND revoked_at IS NULL
    RETURNING id
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM revoked, jsonb_populate_record(NULL::audit_log, $3::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM revoked)
