-- Sets a password whatever it was; ends every session, grant and link of the person.
-- $1 user, $2 hash, $3 now, $4 audit record
WITH changed AS (
    UPDATE users
    SET password_hash = $2::text,
        updated_at = to_timestamp(0) + $3::int8 * interval '1 microsecond'
    WHERE id = $1::uuid
    RETURNING id
), ended_sessions AS (
    DELETE FROM sessions s USING changed c WHERE s.user_id = c.id
), ended_grants AS (
    UPDATE grants g
    SET revoked_at = to_timestamp(0) + $3::int8 * interval '1 microsecond'
    FROM changed c
    WHERE g.user_id = c.id AND g.revoked_at IS NULL
), ended_links AS (
    DELETE FROM email_tokens e USING changed c WHERE e.user_id = c.id
), recorded AS (
    INSERT INTO audit_log
    SELECT e.* FROM changed, jsonb_populate_record(NULL::audit_log, $4::jsonb) AS e WHERE e.id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM changed)
