-- Registers a scope, unless its name is taken.
-- $1 id, $2 name, $3 description, $4 whether it is a default, $5 whether it is active, $6 now, $7 audit
-- record
WITH created AS (
    INSERT INTO scopes (id, scope_name, description, is_default, is_active, created_at, updated_at)
    VALUES (
        $1::uuid, $2::text, $3::text, $4::bool, $5::bool,
        to_timestamp(0) + $6::int8 * interval '1 microsecond',
        to_timestamp(0) + $6::int8 * interval '1 microsecond'
    )
    ON CONFLICT DO NOTHING
    RETURNING id
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM created, jsonb_populate_record(NULL::audit_log, $7::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM created)
