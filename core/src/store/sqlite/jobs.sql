-- What is known of the maintenance jobs.
SELECT
    job, lease_expires_at, last_started_at, last_finished_at, last_outcome, last_removed, last_error, last_success_at
FROM maintenance_jobs
