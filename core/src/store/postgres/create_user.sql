-- Makes an account, unless its address (in any case) or its name is taken. New addresses are lower case, so the
-- unique index settles races between them; only accounts of the first release have others.
-- $1 id, $2 e-mail address, $3 user name, $4 password hash, $5 whether verified, $6 whether administrator, $7 now,
-- $8 audit record
WITH created AS (
    INSERT INTO users (id, email, username, password_hash, is_verified, is_admin, is_active, created_at, updated_at)
    SELECT
        $1::uuid, $2::text, $3::text, $4::text, $5::bool, $6::bool, true,
        to_timestamp(0) + $7::int8 * interval '1 microsecond',
        to_timestamp(0) + $7::int8 * interval '1 microsecond'
    WHERE NOT EXISTS (SELECT FROM users u WHERE lower(u.email) = lower($2::text))
    ON CONFLICT DO NOTHING
    RETURNING id
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM created, jsonb_populate_record(NULL::audit_log, $8::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM created)
