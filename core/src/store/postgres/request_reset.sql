-- Puts a token to reset the password in the place of an older one, and queues the mail with it, to the address as the
-- account has it. Without an active account of this address, the mail is to nobody: it is dropped later, and has taken
-- the same time.
-- $1 address that was typed, $2 digest of the token, $3 its end, $4 mail, $5 its end, $6 its subject, $7 its body,
-- $8 now
WITH account AS MATERIALIZED (
    SELECT u.id, u.email::text AS email
    FROM users u
    WHERE lower(u.email) = lower($1::text) AND u.is_active
    ORDER BY u.email = $1::text DESC, u.email = lower($1::text) DESC, u.id
    LIMIT 1
), token AS (
    INSERT INTO email_tokens (user_id, purpose, digest, email, created_at, expires_at)
    SELECT
        account.id, 'reset', $2::bytea, account.email,
        to_timestamp(0) + $8::int8 * interval '1 microsecond',
        to_timestamp(0) + $3::int8 * interval '1 microsecond'
    FROM account
    ON CONFLICT (user_id, purpose) DO UPDATE
    SET digest = EXCLUDED.digest,
        email = EXCLUDED.email,
        created_at = EXCLUDED.created_at,
        expires_at = EXCLUDED.expires_at
), queued AS (
    INSERT INTO outbox (id, recipient, subject, sealed, created_at, expires_at, due_at)
    VALUES (
        $4::uuid, (SELECT email FROM account), $6::text, $7::bytea,
        to_timestamp(0) + $8::int8 * interval '1 microsecond',
        to_timestamp(0) + $5::int8 * interval '1 microsecond',
        to_timestamp(0) + $8::int8 * interval '1 microsecond'
    )
    ON CONFLICT DO NOTHING
)
SELECT id FROM account
