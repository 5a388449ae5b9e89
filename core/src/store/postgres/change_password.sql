-- Sets a password, unless it was changed since it was compared; ends every other session and every grant and link of
-- the person, and queues a mail that says so.
-- $1 user, $2 old hash, $3 new hash, $4 digest of the session that goes on, $5 mail, $6 its end, $7 its subject,
-- $8 its body, $9 now
WITH account AS (
    UPDATE users u
    SET password_hash = $3::text,
        updated_at = to_timestamp(0) + $9::int8 * interval '1 microsecond'
    WHERE u.id = $1::uuid AND u.password_hash = $2::text AND u.is_active
    RETURNING u.id, u.email
), ended_sessions AS (
    DELETE FROM sessions s
    USING account a
    WHERE s.user_id = a.id AND s.digest <> $4::bytea
), ended_grants AS (
    UPDATE grants g
    SET revoked_at = to_timestamp(0) + $9::int8 * interval '1 microsecond'
    FROM account a
    WHERE g.user_id = a.id AND g.revoked_at IS NULL
), ended_links AS (
    DELETE FROM email_tokens e
    USING account a
    WHERE e.user_id = a.id
), queued AS (
    INSERT INTO outbox (id, recipient, subject, sealed, created_at, expires_at, due_at)
    SELECT
        $5::uuid, a.email, $7::text, $8::bytea,
        to_timestamp(0) + $9::int8 * interval '1 microsecond',
        to_timestamp(0) + $6::int8 * interval '1 microsecond',
        to_timestamp(0) + $9::int8 * interval '1 microsecond'
    FROM account a
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM account)
