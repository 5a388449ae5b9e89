-- Uses the token of a link that shows that an address is the person's. Of concurrent uses one finds the token. Where
-- the address is a new one, the name follows it if it was the address, a link to reset the password ends, and a mail
-- to the old address is queued.
-- $1 digest of the token, $2 mail, $3 its end, $4 its subject, $5 its body, $6 now
WITH token AS (
    DELETE FROM email_tokens
    WHERE digest = $1::bytea
        AND purpose = 'verify'
        AND expires_at > to_timestamp(0) + $6::int8 * interval '1 microsecond'
    RETURNING user_id, email
), account AS MATERIALIZED (
    SELECT
        u.id,
        u.email::text AS old_email,
        t.email AS new_email,
        EXISTS (SELECT FROM users o WHERE lower(o.email) = lower(t.email) AND o.id <> u.id) AS is_taken,
        u.username = u.email AND NOT EXISTS (SELECT FROM users o WHERE o.username = t.email AND o.id <> u.id) AS renames
    FROM token t
    JOIN users u ON u.id = t.user_id
    WHERE u.is_active
), verified AS (
    UPDATE users u
    SET email = a.new_email,
        username = CASE WHEN a.renames THEN a.new_email ELSE u.username END,
        is_verified = true,
        updated_at = to_timestamp(0) + $6::int8 * interval '1 microsecond'
    FROM account a
    WHERE u.id = a.id AND NOT a.is_taken
    RETURNING u.id, u.username, u.email, u.is_verified, u.is_admin, a.old_email <> a.new_email AS is_changed
), ended AS (
    DELETE FROM email_tokens e
    USING verified v
    WHERE e.user_id = v.id AND e.purpose = 'reset' AND v.is_changed
), queued AS (
    INSERT INTO outbox (id, recipient, subject, sealed, created_at, expires_at, due_at)
    SELECT
        $2::uuid, account.old_email, $4::text, $5::bytea,
        to_timestamp(0) + $6::int8 * interval '1 microsecond',
        to_timestamp(0) + $3::int8 * interval '1 microsecond',
        to_timestamp(0) + $6::int8 * interval '1 microsecond'
    FROM account
    JOIN verified v ON v.id = account.id
    WHERE v.is_changed
    ON CONFLICT DO NOTHING
)
SELECT
    CASE WHEN a.id IS NULL THEN 'taken' WHEN a.is_changed THEN 'changed' ELSE 'verified' END,
    a.id,
    a.username::text,
    a.email::text,
    COALESCE(a.is_verified, false),
    COALESCE(a.is_admin, false)
FROM account
LEFT JOIN verified a ON a.id = account.id
