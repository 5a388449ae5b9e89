-- What is known of the maintenance jobs.
SELECT
    job,
    (extract(epoch FROM lease_expires_at) * 1000000)::int8,
    (extract(epoch FROM last_started_at) * 1000000)::int8,
    (extract(epoch FROM last_finished_at) * 1000000)::int8,
    last_outcome,
    last_removed,
    last_error,
    (extract(epoch FROM last_success_at) * 1000000)::int8
FROM maintenance_jobs
