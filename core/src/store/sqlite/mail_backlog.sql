-- How much mail waits, and how much was given up or not delivered in time.
-- ?1 now
SELECT
    count(*) FILTER (WHERE due_at IS NOT NULL AND expires_at > ?1) AS waiting,
    count(*) FILTER (WHERE due_at IS NULL OR expires_at <= ?1) AS failed
FROM outbox
WHERE recipient IS NOT NULL
