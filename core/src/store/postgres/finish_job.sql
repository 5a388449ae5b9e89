-- Records a run of a job and gives its lease back, unless another run has it by now: then no row is returned.
-- $1 job, $2 holder, $3 now, $4 outcome, $5 rows removed, $6 error
UPDATE maintenance_jobs
SET holder = NULL,
    lease_expires_at = NULL,
    last_finished_at = to_timestamp(0) + $3::int8 * interval '1 microsecond',
    last_outcome = $4::text,
    last_removed = $5::int8,
    last_error = $6::text,
    last_success_at = CASE
        WHEN $4::text = 'success' THEN to_timestamp(0) + $3::int8 * interval '1 microsecond'
        ELSE last_success_at
    END
WHERE job = $1::text AND holder = $2::uuid
RETURNING true
