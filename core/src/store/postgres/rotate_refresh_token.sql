-- Uses a refresh token: puts its successor in its place, or hands the successor out once more to a retry in time, or
-- takes an old token for stolen and revokes the grant (OAuth 2.1 §4.3, RFC 9700 §4.14.2). The token's row is locked
-- first, so of concurrent uses one rotates and the others see that it did. The order of the decisions is that of
-- grant/refresh.rs. A row that an operator marked as invalidated counts as revoked.
-- $1 token, $2 generation, $3 digest of its secret, $4 digest of the successor's, $5 client, $6 now,
-- $7 start of the time for retries, $8 end of the successor unless it is used, $9 scopes asked for, if any,
-- $10 resources asked for
WITH token AS MATERIALIZED (
    SELECT
        t.id,
        t.generation,
        t.rotated_at,
        least(t.idle_expires_at, g.expires_at) AS token_expires_at,
        t.generation = $2::int8 AND t.digest = $3::bytea AS is_current,
        t.generation - 1 = $2::int8
            AND t.previous_digest IS NOT DISTINCT FROM $3::bytea
            AND t.digest = $4::bytea
            AND t.rotated_at >= to_timestamp(0) + $7::int8 * interval '1 microsecond' AS is_retry,
        g.id AS grant_id,
        g.client_id,
        g.user_id,
        g.scopes,
        g.resources,
        g.authenticated_at,
        g.expires_at,
        g.revoked_at IS NOT NULL OR COALESCE(t.invalidated, false) OR NOT u.is_active AS is_revoked,
        to_timestamp(0) + $6::int8 * interval '1 microsecond' AS now
    FROM tokens t
    JOIN grants g ON g.id = t.grant_id
    JOIN users u ON u.id = g.user_id
    WHERE t.id = $1::uuid AND t.token_type = 'refresh'
    FOR NO KEY UPDATE OF t
), decision AS MATERIALIZED (
    SELECT
        token.*,
        CASE
            WHEN client_id <> $5::uuid THEN 'mismatched'
            WHEN is_revoked THEN 'revoked'
            WHEN $2::int8 < generation AND NOT is_retry THEN 'replayed'
            WHEN NOT is_current AND NOT is_retry THEN 'unknown'
            WHEN token_expires_at <= now THEN 'expired'
            WHEN NOT COALESCE($9::text[], '{}') <@ scopes THEN 'scope_exceeded'
            WHEN NOT $10::text[] <@ resources THEN 'target_exceeded'
            WHEN is_current THEN 'rotated'
            ELSE 'repeated'
        END AS outcome
    FROM token
), rotated AS (
    UPDATE tokens t
    SET generation = t.generation + 1,
        digest = $4::bytea,
        previous_digest = t.digest,
        rotated_at = d.now,
        idle_expires_at = to_timestamp(0) + $8::int8 * interval '1 microsecond',
        idle_expires_on = ((to_timestamp(0) + $8::int8 * interval '1 microsecond') AT TIME ZONE 'UTC')::date
    FROM decision d
    WHERE t.id = d.id AND d.outcome = 'rotated'
), revoked AS (
    UPDATE grants g
    SET revoked_at = d.now
    FROM decision d
    WHERE g.id = d.grant_id AND g.revoked_at IS NULL AND d.outcome = 'replayed'
)
SELECT
    outcome,
    grant_id,
    user_id,
    scopes,
    resources,
    (extract(epoch FROM authenticated_at) * 1000000)::int8,
    (extract(epoch FROM expires_at) * 1000000)::int8
FROM decision
