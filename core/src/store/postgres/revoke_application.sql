-- Revokes a person's grants to a client, and forgets what they allowed it.
-- $1 user, $2 client, $3 now
WITH revoked AS (
    UPDATE grants
    SET revoked_at = to_timestamp(0) + $3::int8 * interval '1 microsecond'
    WHERE user_id = $1::uuid AND client_id = $2::uuid AND revoked_at IS NULL
    RETURNING 1
), forgotten AS (
    DELETE FROM consents WHERE user_id = $1::uuid AND client_id = $2::uuid
)
SELECT EXISTS (SELECT FROM revoked)
