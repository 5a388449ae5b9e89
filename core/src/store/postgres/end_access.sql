-- Ends every session of a person, and revokes every grant.
-- $1 user, $2 now
WITH ended AS (
    DELETE FROM sessions WHERE user_id = $1::uuid
)
UPDATE grants
SET revoked_at = to_timestamp(0) + $2::int8 * interval '1 microsecond'
WHERE user_id = $1::uuid AND revoked_at IS NULL
