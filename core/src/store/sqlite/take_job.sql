-- Takes the lease of a job that is free, or whose holder is the same or died. No row is changed where somebody else has
-- the job.
-- ?1 job, ?2 holder, ?3 now, ?4 end of the lease
INSERT INTO maintenance_jobs AS j (job, holder, last_started_at, lease_expires_at)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (job) DO UPDATE
SET holder = excluded.holder,
    last_started_at = CASE WHEN j.holder = excluded.holder THEN j.last_started_at ELSE excluded.last_started_at END,
    lease_expires_at = excluded.lease_expires_at
WHERE j.holder IS NULL OR j.holder = excluded.holder OR j.lease_expires_at <= ?3
