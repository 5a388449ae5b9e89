-- Deletes mail that was of no use any more at some time, at most so much.
-- $1 that time, $2 limit
WITH ended AS MATERIALIZED (
    SELECT id AS key
    FROM outbox
    WHERE expires_at <= to_timestamp(0) + $1::int8 * interval '1 microsecond'
    ORDER BY expires_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), swept AS (
    DELETE FROM outbox WHERE id = ANY (ARRAY(SELECT key FROM ended)) RETURNING 1
)
SELECT count(*) FROM swept
