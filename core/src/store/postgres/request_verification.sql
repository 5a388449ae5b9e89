-- Puts a token for an address in the place of an older one, and queues the mail with it. Where the address (in any
-- case) is another account's, there is no token, and the other mail goes there.
-- $1 user, $2 e-mail address, $3 digest of the token, $4 its end, $5 mail, $6 its end, $7 its subject, $8 its body,
-- $9 subject of the other mail, $10 its body, $11 now
WITH taken AS MATERIALIZED (
    SELECT u.email::text AS email
    FROM users u
    WHERE lower(u.email) = lower($2::text) AND u.id <> $1::uuid
    ORDER BY u.email = $2::text DESC, u.id
    LIMIT 1
), token AS (
    INSERT INTO email_tokens (user_id, purpose, digest, email, created_at, expires_at)
    SELECT
        u.id, 'verify', $3::bytea, $2::text,
        to_timestamp(0) + $11::int8 * interval '1 microsecond',
        to_timestamp(0) + $4::int8 * interval '1 microsecond'
    FROM users u
    WHERE u.id = $1::uuid AND u.is_active AND NOT EXISTS (SELECT FROM taken)
    ON CONFLICT (user_id, purpose) DO UPDATE
    SET digest = EXCLUDED.digest,
        email = EXCLUDED.email,
        created_at = EXCLUDED.created_at,
        expires_at = EXCLUDED.expires_at
    RETURNING user_id
), queued AS (
    INSERT INTO outbox (id, recipient, subject, sealed, created_at, expires_at, due_at)
    SELECT
        $5::uuid,
        COALESCE((SELECT email FROM taken), $2::text),
        CASE WHEN EXISTS (SELECT FROM taken) THEN $9::text ELSE $7::text END,
        CASE WHEN EXISTS (SELECT FROM taken) THEN $10::bytea ELSE $8::bytea END,
        to_timestamp(0) + $11::int8 * interval '1 microsecond',
        to_timestamp(0) + $6::int8 * interval '1 microsecond',
        to_timestamp(0) + $11::int8 * interval '1 microsecond'
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM token)
