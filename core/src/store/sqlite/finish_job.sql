-- Records a run of a job and gives its lease back, unless another run has it by now: then no row is changed.
-- ?1 job, ?2 holder, ?3 now, ?4 outcome, ?5 rows removed, ?6 error
UPDATE maintenance_jobs
SET holder = NULL,
    lease_expires_at = NULL,
    last_finished_at = ?3,
    last_outcome = ?4,
    last_removed = ?5,
    last_error = ?6,
    last_success_at = iif(?4 = 'success', ?3, last_success_at)
WHERE job = ?1 AND holder = ?2
