-- Makes an account and queues the mail that verifies its address. Where the address (in any case) has an account, the
-- other mail goes to that and nothing else happens: either way there is one statement that writes.
-- $1 user, $2 e-mail address, $3 hash of the password, $4 digest of the token, $5 its end, $6 mail, $7 its end,
-- $8 its subject, $9 its body, $10 subject of the other mail, $11 its body, $12 now
WITH known AS MATERIALIZED (
    SELECT u.email::text AS email
    FROM users u
    WHERE lower(u.email) = lower($2::text)
    ORDER BY u.email = $2::text DESC, u.id
    LIMIT 1
), created AS (
    INSERT INTO users (id, email, username, password_hash, is_verified, is_admin, is_active, created_at, updated_at)
    SELECT
        $1::uuid,
        $2::text,
        CASE WHEN EXISTS (SELECT FROM users u WHERE u.username = $2::text) THEN $1::uuid::text ELSE $2::text END,
        $3::text, false, false, true,
        to_timestamp(0) + $12::int8 * interval '1 microsecond',
        to_timestamp(0) + $12::int8 * interval '1 microsecond'
    WHERE NOT EXISTS (SELECT FROM known)
    ON CONFLICT DO NOTHING
    RETURNING id
), token AS (
    INSERT INTO email_tokens (user_id, purpose, digest, email, created_at, expires_at)
    SELECT
        created.id, 'verify', $4::bytea, $2::text,
        to_timestamp(0) + $12::int8 * interval '1 microsecond',
        to_timestamp(0) + $5::int8 * interval '1 microsecond'
    FROM created
), queued AS (
    INSERT INTO outbox (id, recipient, subject, sealed, created_at, expires_at, due_at)
    SELECT
        $6::uuid,
        COALESCE((SELECT email FROM known), $2::text),
        CASE WHEN EXISTS (SELECT FROM created) THEN $8::text ELSE $10::text END,
        CASE WHEN EXISTS (SELECT FROM created) THEN $9::bytea ELSE $11::bytea END,
        to_timestamp(0) + $12::int8 * interval '1 microsecond',
        to_timestamp(0) + $7::int8 * interval '1 microsecond',
        to_timestamp(0) + $12::int8 * interval '1 microsecond'
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM created)
