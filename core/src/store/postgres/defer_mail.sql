-- A mail could not be sent: it is due again at some time, or given up. Nothing happens where somebody else has taken it
-- up since.
-- $1 mail, $2 attempts, $3 error, $4 when it is due again, if ever
UPDATE outbox
SET due_at = to_timestamp(0) + $4::int8 * interval '1 microsecond',
    last_error = $3::text
WHERE id = $1::uuid AND attempts = $2::int8
