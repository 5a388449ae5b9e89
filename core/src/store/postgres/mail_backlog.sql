-- How much mail waits, and how much was given up or not delivered in time.
-- $1 now
SELECT
    count(*) FILTER (WHERE due_at IS NOT NULL AND expires_at > to_timestamp(0) + $1::int8 * interval '1 microsecond'),
    count(*) FILTER (WHERE due_at IS NULL OR expires_at <= to_timestamp(0) + $1::int8 * interval '1 microsecond')
FROM outbox
WHERE recipient IS NOT NULL
