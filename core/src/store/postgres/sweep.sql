-- Deletes what has ended, at most so many rows of each kind, passing by what another statement has locked:
-- codes at their end (a replay is noticed until then), refresh tokens at their own or their grant's end or a day after
-- the grant was revoked, revocations when the access token would have ended, sessions, and grants that are over and
-- have none of those left.
-- $1 now, $2 limit
WITH ended AS MATERIALIZED (
    SELECT to_timestamp(0) + $1::int8 * interval '1 microsecond' AS now
), ended_codes AS MATERIALIZED (
    SELECT a.id
    FROM authorization_codes a
    WHERE a.expires_at <= (SELECT now FROM ended)
    ORDER BY a.expires_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), expired_tokens AS MATERIALIZED (
    SELECT t.id
    FROM tokens t
    WHERE t.expires_at <= (SELECT now FROM ended)
    ORDER BY t.expires_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), unused_tokens AS MATERIALIZED (
    SELECT t.id
    FROM tokens t
    WHERE t.idle_expires_on <= ((SELECT now FROM ended) AT TIME ZONE 'UTC')::date
        AND t.idle_expires_at <= (SELECT now FROM ended)
    ORDER BY t.idle_expires_on
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), revoked_tokens AS MATERIALIZED (
    SELECT t.id
    FROM grants g
    JOIN tokens t ON t.grant_id = g.id
    WHERE g.revoked_at <= (SELECT now FROM ended) - interval '1 day'
    ORDER BY g.revoked_at
    LIMIT $2::int8
    FOR UPDATE OF t SKIP LOCKED
), ended_tokens AS MATERIALIZED (
    SELECT id FROM expired_tokens
    UNION
    SELECT id FROM unused_tokens
    UNION
    SELECT id FROM revoked_tokens
    LIMIT $2::int8
), ended_grants AS MATERIALIZED (
    SELECT g.id
    FROM grants g
    WHERE (g.expires_at <= (SELECT now FROM ended) OR g.revoked_at <= (SELECT now FROM ended) - interval '1 day')
        AND NOT EXISTS (
            SELECT FROM authorization_codes a
            WHERE a.grant_id = g.id AND a.id NOT IN (SELECT id FROM ended_codes)
        )
        AND NOT EXISTS (
            SELECT FROM tokens t
            WHERE t.grant_id = g.id AND t.id NOT IN (SELECT id FROM ended_tokens)
        )
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), ended_sessions AS MATERIALIZED (
    SELECT s.id
    FROM sessions s
    WHERE s.expires_at <= (SELECT now FROM ended)
    ORDER BY s.expires_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), swept_codes AS (
    DELETE FROM authorization_codes a USING ended_codes e WHERE a.id = e.id RETURNING a.id
), swept_tokens AS (
    DELETE FROM tokens t USING ended_tokens e WHERE t.id = e.id RETURNING t.id
), swept_grants AS (
    DELETE FROM grants g USING ended_grants e WHERE g.id = e.id RETURNING g.id
), swept_sessions AS (
    DELETE FROM sessions s USING ended_sessions e WHERE s.id = e.id RETURNING s.id
)
SELECT
    (SELECT count(*) FROM swept_codes),
    (SELECT count(*) FROM swept_tokens),
    (SELECT count(*) FROM swept_grants),
    (SELECT count(*) FROM swept_sessions)
