-- Changes a scope, unless it was changed since it was read.
-- $1 name, $2 description, $3 whether it is granted unasked, $4 whether it is active, $5 when it had been changed last, $6 now,
-- $7 audit record
WITH changed AS (
    UPDATE scopes
    SET description = $2::text,
        is_default = $3::bool,
        is_active = $4::bool,
        updated_at = to_timestamp(0) + $6::int8 * interval '1 microsecond'
    WHERE scope_name = $1::text AND COALESCE((extract(epoch FROM updated_at) * 1000000)::int8, 0) = $5::int8
    RETURNING id
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM changed, jsonb_populate_record(NULL::audit_log, $7::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM changed)
