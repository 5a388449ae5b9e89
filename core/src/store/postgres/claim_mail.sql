-- Takes up mail that is due: it is due again at the end of the lease, and nobody else is given it before. Rows that
-- another instance is taking up at this moment are passed by.
-- $1 now, $2 end of the lease, $3 limit
WITH due AS MATERIALIZED (
    SELECT id
    FROM outbox
    WHERE due_at <= to_timestamp(0) + $1::int8 * interval '1 microsecond'
        AND expires_at > to_timestamp(0) + $1::int8 * interval '1 microsecond'
    ORDER BY due_at
    LIMIT $3::int8
    FOR UPDATE SKIP LOCKED
)
UPDATE outbox o
SET due_at = to_timestamp(0) + $2::int8 * interval '1 microsecond',
    attempts = o.attempts + 1
FROM due
WHERE o.id = due.id
RETURNING
    o.id,
    o.recipient,
    o.subject,
    o.sealed,
    (extract(epoch FROM o.created_at) * 1000000)::int8,
    (extract(epoch FROM o.expires_at) * 1000000)::int8,
    o.attempts
