-- Deletes counters whose time is over and origins that were not seen for long, at most so many of each.
-- $1 now, $2 limit
WITH ended_counters AS MATERIALIZED (
    SELECT key
    FROM rate_limits
    WHERE ends_at <= to_timestamp(0) + $1::int8 * interval '1 microsecond'
    ORDER BY ends_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), ended_origins AS MATERIALIZED (
    SELECT user_id, origin
    FROM known_origins
    WHERE expires_at <= to_timestamp(0) + $1::int8 * interval '1 microsecond'
    ORDER BY expires_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), swept_counters AS (
    DELETE FROM rate_limits WHERE key = ANY (ARRAY(SELECT key FROM ended_counters)) RETURNING 1
), swept_origins AS (
    DELETE FROM known_origins k
    USING ended_origins e
    WHERE k.user_id = e.user_id AND k.origin = e.origin
    RETURNING 1
)
SELECT (SELECT count(*) FROM swept_counters) + (SELECT count(*) FROM swept_origins)
