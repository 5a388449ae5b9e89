-- Maintenance jobs: who runs one at this moment, and what became of the last run.
SET LOCAL lock_timeout = '5s';

-- One row for each job, once it has run; no history.
CREATE TABLE maintenance_jobs (
    job TEXT PRIMARY KEY,
    -- The run that has the job to itself until its lease ends; none where it has ended in order.
    holder UUID,
    lease_expires_at TIMESTAMP WITH TIME ZONE,
    last_started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    -- Of the last run that ended in order.
    last_finished_at TIMESTAMP WITH TIME ZONE,
    last_outcome TEXT,
    last_removed BIGINT,
    last_error TEXT,
    -- When there was last nothing left to do.
    last_success_at TIMESTAMP WITH TIME ZONE
);
