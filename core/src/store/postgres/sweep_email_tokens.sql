-- Deletes tokens of links that have ended, at most so many.
-- $1 now, $2 limit
WITH ended AS MATERIALIZED (
    SELECT digest AS key
    FROM email_tokens
    WHERE expires_at <= to_timestamp(0) + $1::int8 * interval '1 microsecond'
    ORDER BY expires_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), swept AS (
    DELETE FROM email_tokens WHERE digest = ANY (ARRAY(SELECT key FROM ended)) RETURNING 1
)
SELECT count(*) FROM swept
