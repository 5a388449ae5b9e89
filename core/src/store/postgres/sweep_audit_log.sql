-- Deletes at most so many records of the audit log from before a time.
-- $1 time, $2 limit
WITH ended AS MATERIALIZED (
    SELECT id
    FROM audit_log
    WHERE occurred_at < to_timestamp(0) + $1::int8 * interval '1 microsecond'
    ORDER BY occurred_at
    LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
), swept AS (
    DELETE FROM audit_log WHERE id = ANY (ARRAY(SELECT id FROM ended)) RETURNING 1
)
SELECT count(*) FROM swept
