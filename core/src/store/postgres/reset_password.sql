-- Uses the token of a link to reset the password: sets it, verifies the address that the link went to, ends every
-- session, grant and other link of the person, and queues a mail that says so. Of concurrent uses one finds the token.
-- $1 digest of the token, $2 hash of the password, $3 mail, $4 its end, $5 its subject, $6 its body, $7 now
WITH token AS (
    DELETE FROM email_tokens
    WHERE digest = $1::bytea
        AND purpose = 'reset'
        AND expires_at > to_timestamp(0) + $7::int8 * interval '1 microsecond'
    RETURNING user_id, email
), account AS (
    UPDATE users u
    SET password_hash = $2::text,
        is_verified = COALESCE(u.is_verified, false) OR u.email = t.email,
        updated_at = to_timestamp(0) + $7::int8 * interval '1 microsecond'
    FROM token t
    WHERE u.id = t.user_id AND u.is_active
    RETURNING u.id, u.username, u.email, u.is_verified, u.is_admin
), ended_sessions AS (
    DELETE FROM sessions s
    USING account a
    WHERE s.user_id = a.id
), ended_grants AS (
    UPDATE grants g
    SET revoked_at = to_timestamp(0) + $7::int8 * interval '1 microsecond'
    FROM account a
    WHERE g.user_id = a.id AND g.revoked_at IS NULL
), ended_links AS (
    DELETE FROM email_tokens e
    USING account a
    WHERE e.user_id = a.id AND e.purpose <> 'reset'
), queued AS (
    INSERT INTO outbox (id, recipient, subject, sealed, created_at, expires_at, due_at)
    SELECT
        $3::uuid, a.email, $5::text, $6::bytea,
        to_timestamp(0) + $7::int8 * interval '1 microsecond',
        to_timestamp(0) + $4::int8 * interval '1 microsecond',
        to_timestamp(0) + $7::int8 * interval '1 microsecond'
    FROM account a
    ON CONFLICT DO NOTHING
)
SELECT
    a.id,
    a.username::text,
    a.email::text,
    COALESCE(a.is_verified, false),
    COALESCE(a.is_admin, false)
FROM account a
