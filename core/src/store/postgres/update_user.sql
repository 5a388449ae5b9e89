-- Changes an account, unless it was changed since it was read, its address or name is taken, or it is the last administrator
-- that would be none any more. Whoever is locked has no session and no grant from now on, and a link that was sent to another
-- address ends. Administrators are locked first, in one order: of two that are demoted at once, one stays.
-- $1 id, $2 address, $3 name, $4 whether verified, $5 whether an administrator, $6 whether active, $7 when it had been changed
-- last, $8 now, $9 audit record
WITH administrators AS (
    SELECT id FROM users WHERE COALESCE(is_admin, false) AND is_active ORDER BY id FOR UPDATE
), account AS (
    SELECT id, email, COALESCE((extract(epoch FROM updated_at) * 1000000)::int8, 0) AS version
    FROM users
    WHERE id = $1::uuid AND (SELECT count(*) FROM administrators) >= 0
    FOR UPDATE
), decision AS (
    SELECT
        a.id,
        a.email,
        CASE
            WHEN a.version <> $7::int8 THEN 'stale'
            WHEN NOT ($5::bool AND $6::bool)
                AND a.id IN (SELECT id FROM administrators)
                AND (SELECT count(*) FROM administrators) = 1 THEN 'last_administrator'
            WHEN EXISTS (
                SELECT FROM users o WHERE o.id <> a.id AND (lower(o.email) = $2::text OR o.username = $3::text)
            ) THEN 'taken'
            ELSE 'changed'
        END AS outcome
    FROM account a
), changed AS (
    UPDATE users u
    SET email = $2::text,
        username = $3::text,
        is_verified = $4::bool,
        is_admin = $5::bool,
        is_active = $6::bool,
        updated_at = to_timestamp(0) + $8::int8 * interval '1 microsecond'
    FROM decision d
    WHERE u.id = d.id AND d.outcome = 'changed'
    RETURNING u.id, d.email AS former_email
), ended_sessions AS (
    DELETE FROM sessions s USING changed c WHERE s.user_id = c.id AND NOT $6::bool
), ended_grants AS (
    UPDATE grants g
    SET revoked_at = to_timestamp(0) + $8::int8 * interval '1 microsecond'
    FROM changed c
    WHERE g.user_id = c.id AND g.revoked_at IS NULL AND NOT $6::bool
), ended_links AS (
    DELETE FROM email_tokens e USING changed c WHERE e.user_id = c.id AND lower(c.former_email) <> $2::text
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM changed, jsonb_populate_record(NULL::audit_log, $9::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT COALESCE((SELECT outcome FROM decision), 'stale')
