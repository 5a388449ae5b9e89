//! Maintenance jobs: their leases, and what is known of their last runs.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    Case,
    fixture::{at, id, moment, race},
};
use crate::store::{Job, JobLease, JobOutcome, JobRun, JobState, Store, StoreError};

const JOB: Job = Job::ExpiredTokens;

/// For a minute.
fn lease(holder: Uuid, seconds: i64) -> JobLease {
    JobLease { job: JOB, holder, now: at(seconds), expires_at: at(seconds + 60) }
}

fn run(holder: Uuid, seconds: i64, outcome: JobOutcome) -> JobRun {
    JobRun { job: JOB, holder, finished_at: at(seconds), outcome, removed: 7, error: None }
}

async fn state<S: Store>(store: &Arc<S>) -> Result<JobState, StoreError> {
    let known = store.jobs().await?;
    Ok(known.into_iter().find(|state| state.job == JOB).unwrap_or(JobState::never(JOB)))
}

/// What an empty store has.
pub async fn none_has_run_at_first<S: Store>(store: &Arc<S>) -> Case {
    assert_eq!(store.jobs().await?, []);
    assert!(!store.finish_job(&run(id(), 0, JobOutcome::Success)).await?);
    assert_eq!(store.jobs().await?, []);
    Ok(())
}

/// Every field of it.
pub async fn a_run_is_recorded<S: Store>(store: &Arc<S>) -> Case {
    let holder = id();
    assert!(store.take_job(&lease(holder, 0)).await?);
    let running = JobState { lease_expires_at: Some(at(60)), last_started_at: Some(at(0)), ..JobState::never(JOB) };
    assert_eq!(store.jobs().await?, [running]);
    let removed = u64::from(u32::MAX) + 1;
    assert!(store.finish_job(&JobRun { removed, ..run(holder, 5, JobOutcome::Success) }).await?);
    let finished = JobState {
        last_started_at: Some(at(0)),
        last_finished_at: Some(at(5)),
        last_outcome: Some(JobOutcome::Success),
        last_removed: Some(removed),
        last_success_at: Some(at(5)),
        ..JobState::never(JOB)
    };
    assert_eq!(store.jobs().await?, std::slice::from_ref(&finished));

    let holder = id();
    assert!(store.take_job(&lease(holder, 100)).await?);
    let running = JobState { lease_expires_at: Some(at(160)), last_started_at: Some(at(100)), ..finished.clone() };
    assert_eq!(store.jobs().await?, [running]);
    let error = Some("an error: 'é'".to_owned());
    assert!(store.finish_job(&JobRun { error: error.clone(), ..run(holder, 101, JobOutcome::Failure) }).await?);
    let failed = JobState {
        last_started_at: Some(at(100)),
        last_finished_at: Some(at(101)),
        last_outcome: Some(JobOutcome::Failure),
        last_removed: Some(7),
        last_error: error,
        ..finished
    };
    assert_eq!(store.jobs().await?, [failed]);
    Ok(())
}

/// Neither a failure nor a part is one; and the error of before is gone.
pub async fn the_last_success_is_remembered<S: Store>(store: &Arc<S>) -> Case {
    let outcomes = [JobOutcome::Partial, JobOutcome::Success, JobOutcome::Partial, JobOutcome::Failure];
    for (seconds, outcome) in (0..).zip(outcomes) {
        let holder = id();
        assert!(store.take_job(&lease(holder, seconds)).await?);
        store.finish_job(&JobRun { error: Some("one".to_owned()), ..run(holder, seconds, outcome) }).await?;
        let known = state(store).await?;
        assert_eq!((known.last_outcome, known.last_finished_at), (Some(outcome), Some(at(seconds))));
        assert_eq!(known.last_success_at, (seconds > 0).then(|| at(1)));
    }
    let holder = id();
    store.take_job(&lease(holder, 10)).await?;
    store.finish_job(&run(holder, 11, JobOutcome::Success)).await?;
    let known = state(store).await?;
    assert_eq!((known.last_error, known.last_success_at), (None, Some(at(11))));
    Ok(())
}

/// Each has a lease of its own.
pub async fn jobs_are_apart<S: Store>(store: &Arc<S>) -> Case {
    let holders = Job::ALL.map(|job| JobLease { job, ..lease(id(), 0) });
    for lease in &holders {
        assert!(store.take_job(lease).await?, "{lease:?}");
    }
    for lease in &holders {
        assert!(!store.take_job(&JobLease { holder: id(), ..*lease }).await?, "{lease:?}");
    }
    assert!(store.finish_job(&run(holders[1].holder, 1, JobOutcome::Success)).await?);
    let mut known = store.jobs().await?;
    known.sort_by_key(|state| Job::ALL.iter().position(|job| *job == state.job));
    assert_eq!(known.iter().map(|state| state.job).collect::<Vec<_>>(), Job::ALL);
    let running: Vec<_> = known.iter().map(|state| state.is_running(at(2))).collect();
    assert_eq!(running, [true, false, true, true, true]);
    Ok(())
}

/// And the run began when it began.
pub async fn a_lease_is_renewed_by_its_holder<S: Store>(store: &Arc<S>) -> Case {
    let holder = id();
    for seconds in [0, 30, 59, 200] {
        assert!(store.take_job(&lease(holder, seconds)).await?);
        let known = state(store).await?;
        assert_eq!((known.last_started_at, known.lease_expires_at), (Some(at(0)), Some(at(seconds + 60))));
    }
    assert!(!store.take_job(&lease(id(), 201)).await?);
    Ok(())
}

/// To the moment: whoever has died with it leaves the job to the next.
pub async fn a_dead_holders_lease_passes_on<S: Store>(store: &Arc<S>) -> Case {
    let (dead, next) = (id(), id());
    assert!(store.take_job(&lease(dead, 0)).await?);
    assert!(!store.take_job(&JobLease { now: at(60) - moment(), ..lease(next, 60) }).await?);
    assert!(state(store).await?.is_running(at(60) - moment()));
    assert!(!state(store).await?.is_running(at(60)));
    assert!(store.take_job(&lease(next, 60)).await?);
    assert_eq!(state(store).await?.last_started_at, Some(at(60)));
    Ok(())
}

/// One that was too slow neither renews its lease nor records its run over that of the one that has it by now.
pub async fn a_late_holder_changes_nothing<S: Store>(store: &Arc<S>) -> Case {
    let (late, next) = (id(), id());
    store.take_job(&lease(late, 0)).await?;
    store.take_job(&lease(next, 60)).await?;
    let before = state(store).await?;
    assert!(!store.take_job(&lease(late, 61)).await?);
    assert!(!store.finish_job(&run(late, 62, JobOutcome::Failure)).await?);
    assert_eq!(state(store).await?, before);
    assert!(store.finish_job(&run(next, 63, JobOutcome::Success)).await?);
    let after = state(store).await?;
    assert!(!store.finish_job(&run(late, 64, JobOutcome::Failure)).await?);
    assert!(!store.finish_job(&run(next, 65, JobOutcome::Failure)).await?, "a run is recorded once");
    assert_eq!(state(store).await?, after);
    Ok(())
}

/// One gets it: at first, when it was given back, and when its holder died.
pub async fn racers_get_one_lease<S: Store>(store: &Arc<S>) -> Case {
    for round in 0..12 {
        let seconds = round * 60;
        let racers = (0..32).map(|_| {
            let store = Arc::clone(store);
            async move {
                let holder = id();
                Ok::<_, StoreError>(store.take_job(&lease(holder, seconds)).await?.then_some(holder))
            }
        });
        let holders: Vec<_> = race(racers).await.into_iter().collect::<Result<_, _>>()?;
        let holders: Vec<_> = holders.into_iter().flatten().collect();
        let [holder] = holders.as_slice() else { panic!("{} have the lease", holders.len()) };
        if round % 2 == 0 {
            assert!(store.finish_job(&run(*holder, seconds, JobOutcome::Success)).await?);
        }
    }
    Ok(())
}
