-- Registers a scope, unless its name is taken.
-- $1 id, $2 name, $3 description, $4 whether it is a default, $5 whether it is active, $6 now
WITH created AS (
    INSERT INTO scopes (id, scope_name, description, is_default, is_active, created_at, updated_at)
    VALUES (
        $1::uuid, $2::text, $3::text, $4::bool, $5::bool,
        to_timestamp(0) + $6::int8 * interval '1 microsecond',
        to_timestamp(0) + $6::int8 * interval '1 microsecond'
    )
    ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT EXISTS (SELECT FROM created)
