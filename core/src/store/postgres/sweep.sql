-- Deletes what has ended, at most so many rows of each kind, passing by what another statement has locked:
-- codes at their end (a replay is noticed until then), refresh tokens at their own or their grant's end or a day after
-- the grant was revoked, revocations when the access token would have ended, sessions, and grants that are over once
-- they have none of those left. Arrays keep every step on an index, whatever the planner believes of the limit.
-- $1 now, $2 limit
WITH ended AS MATERIALIZED (
    SELECT to_timestamp(0) + $1::int8 * interval '1 microsecond' AS now
), ended_codes AS MATERIALIZED (
    SELECT id
    FROM authorization_codes
    WHERE expires_at <= (SELECT now FROM ended)
    ORDER BY expires_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), ended_sessions AS MATERIALIZED (
    SELECT id
    FROM sessions
    WHERE expires_at <= (SELECT now FROM ended)
    ORDER BY expires_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), expired_grants AS MATERIALIZED (
    SELECT id
    FROM grants
    WHERE expires_at <= (SELECT now FROM ended)
    ORDER BY expires_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), revoked_grants AS MATERIALIZED (
    SELECT id
    FROM grants
    WHERE revoked_at <= (SELECT now FROM ended) - interval '1 day'
    ORDER BY revoked_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), expired_tokens AS MATERIALIZED (
    SELECT id
    FROM tokens
    WHERE expires_at <= (SELECT now FROM ended)
    ORDER BY expires_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), unused_tokens AS MATERIALIZED (
    SELECT id
    FROM tokens
    WHERE idle_expires_on <= ((SELECT now FROM ended) AT TIME ZONE 'UTC')::date
        AND idle_expires_at <= (SELECT now FROM ended)
    ORDER BY idle_expires_on
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), revoked_tokens AS MATERIALIZED (
    SELECT id
    FROM tokens
    WHERE grant_id = ANY (ARRAY(SELECT id FROM revoked_grants))
    FOR UPDATE SKIP LOCKED
), ended_tokens AS MATERIALIZED (
    SELECT id FROM expired_tokens
    UNION
    SELECT id FROM unused_tokens
    UNION
    SELECT id FROM revoked_tokens
    LIMIT $2::int8
), over AS MATERIALIZED (
    SELECT id FROM expired_grants
    UNION
    SELECT id FROM revoked_grants
), still_needed AS MATERIALIZED (
    SELECT grant_id
    FROM authorization_codes
    WHERE grant_id = ANY (ARRAY(SELECT id FROM over)) AND id NOT IN (SELECT id FROM ended_codes)
    UNION ALL
    SELECT grant_id
    FROM tokens
    WHERE grant_id = ANY (ARRAY(SELECT id FROM over)) AND id NOT IN (SELECT id FROM ended_tokens)
), ended_grants AS MATERIALIZED (
    SELECT id FROM over WHERE id NOT IN (SELECT grant_id FROM still_needed) LIMIT $2::int8
), swept_codes AS (
    DELETE FROM authorization_codes WHERE id = ANY (ARRAY(SELECT id FROM ended_codes)) RETURNING 1
), swept_tokens AS (
    DELETE FROM tokens WHERE id = ANY (ARRAY(SELECT id FROM ended_tokens)) RETURNING 1
), swept_grants AS (
    DELETE FROM grants WHERE id = ANY (ARRAY(SELECT id FROM ended_grants)) RETURNING 1
), swept_sessions AS (
    DELETE FROM sessions WHERE id = ANY (ARRAY(SELECT id FROM ended_sessions)) RETURNING 1
)
SELECT
    (SELECT count(*) FROM swept_codes),
    (SELECT count(*) FROM swept_tokens),
    (SELECT count(*) FROM swept_grants),
    (SELECT count(*) FROM swept_sessions)
