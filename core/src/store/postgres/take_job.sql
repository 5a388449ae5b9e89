-- Takes the lease of a job that is free, or whose holder is the same or died. Of those who ask at the same time, each
-- decides by the row that the one before it left. No row is returned where somebody else has the job.
-- $1 job, $2 holder, $3 now, $4 end of the lease
INSERT INTO maintenance_jobs AS j (job, holder, last_started_at, lease_expires_at)
VALUES (
    $1::text,
    $2::uuid,
    to_timestamp(0) + $3::int8 * interval '1 microsecond',
    to_timestamp(0) + $4::int8 * interval '1 microsecond'
)
ON CONFLICT (job) DO UPDATE
SET holder = EXCLUDED.holder,
    last_started_at = CASE WHEN j.holder = EXCLUDED.holder THEN j.last_started_at ELSE EXCLUDED.last_started_at END,
    lease_expires_at = EXCLUDED.lease_expires_at
WHERE j.holder IS NULL
    OR j.holder = EXCLUDED.holder
    OR j.lease_expires_at <= to_timestamp(0) + $3::int8 * interval '1 microsecond'
RETURNING true
