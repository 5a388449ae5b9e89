//! The conformance suite: what [`Store`](crate::store::Store) promises, as small cases that every backend passes.
//!
//! A backend's test runs it with one line, [`store_suite!`](crate::store_suite). Each case gets a store of its own,
//! freshly migrated: it holds the default scopes and nothing else.

mod fixture;

use crate::store::StoreError;

/// How a case ends: it panics where the store did something else than it promised.
pub type Case = Result<(), StoreError>;

pub mod accounts;
pub mod administration;
pub mod audit;
pub mod clients;
pub mod codes;
pub mod jobs;
pub mod limits;
pub mod maintenance;
pub mod outbox;
pub mod races;
pub mod refresh;
pub mod signing_keys;
pub mod tokens;
pub mod users;

/// Expands to one `#[tokio::test]` per case of the conformance suite, in one module per subject.
///
/// The argument is evaluated for each case: a future of `(Arc<S>, guard)`, where `S` is the
/// [`Store`](crate::store::Store), freshly migrated, and the guard is dropped after the case, to clean up what the
/// store lived in. Names of the surrounding module can be used. The calling crate needs tokio with its features
/// `macros` and `rt-multi-thread`.
///
/// ```ignore
/// async fn fresh() -> (Arc<MyStore>, TempDir) { … }
///
/// authly_core::store_suite!(fresh());
/// ```
#[macro_export]
macro_rules! store_suite {
    (@modules $fresh:expr; $($module:ident { $($case:ident,)+ })+) => {
        $($crate::store_suite! { @module $fresh; $module $($case)+ })+
    };
    (@module $fresh:expr; $module:ident $($case:ident)+) => {
        mod $module {
            #[allow(unused_imports, reason = "the expression may need names of the surrounding module")]
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    let (store, _guard) = $fresh.await;
                    if let Err(error) = $crate::testing::suite::$module::$case(&store).await {
                        panic!("{error}");
                    }
                }
            )+
        }
    };
    ($fresh:expr) => {
        $crate::store_suite! { @modules $fresh;
            clients {
                the_store_is_ready,
                the_default_scopes_are_there,
                a_scope_is_registered,
                a_scope_name_is_unique,
                a_public_client_is_registered,
                a_confidential_client_is_registered,
                an_unknown_client_is_none,
                a_client_id_is_unique,
                unknown_scopes_are_ignored,
                inactive_scopes_are_omitted,
            }
            users {
                an_account_is_found_by_email_in_any_case,
                an_account_is_found_by_name,
                an_unknown_login_is_none,
                an_address_goes_before_a_name,
                a_name_goes_before_an_address_in_another_case,
                an_address_is_unique_in_any_case,
                a_name_is_unique,
                a_password_hash_is_replaced,
                a_password_that_changed_since_stays,
                a_session_starts,
                an_unknown_session_is_none,
                a_session_replaces_another,
                a_session_ends,
                a_session_expires,
                a_session_is_read_with_the_consent,
            }
            codes {
                a_code_is_issued,
                a_code_is_issued_without_pkce,
                resources_are_kept,
                a_resource_that_was_not_granted_changes_nothing,
                a_redirect_uri_may_be_absent,
                an_unknown_code_is_unknown,
                a_wrong_client_changes_nothing,
                a_wrong_redirect_uri_changes_nothing,
                a_missing_verifier_changes_nothing,
                a_wrong_verifier_changes_nothing,
                a_superfluous_verifier_changes_nothing,
                a_replay_revokes_the_grant,
                a_replay_after_expiry_revokes_the_grant,
                a_replay_by_a_wrong_client_revokes_nothing,
                a_replay_stores_no_second_refresh_token,
                a_code_expires,
                a_code_is_good_until_it_expires,
                a_grant_may_have_no_refresh_token,
                consent_is_remembered_and_added_up,
                consent_is_not_remembered_unasked,
                consent_is_for_one_client_and_one_person,
            }
            refresh {
                a_token_rotates,
                a_chain_of_rotations_stays_one_grant,
                a_retry_in_time_is_repeated,
                a_retry_at_the_last_moment_is_repeated,
                a_retry_does_not_prolong,
                a_late_retry_revokes_the_grant,
                a_retry_after_the_successor_was_used_revokes_the_grant,
                a_very_old_token_revokes_the_grant,
                a_retry_with_another_secret_is_no_retry,
                a_retry_with_another_successor_is_no_retry,
                a_wrong_client_changes_nothing,
                a_wrong_client_with_an_old_token_changes_nothing,
                fewer_scopes_can_be_asked_for,
                more_scopes_change_nothing,
                more_scopes_are_refused_in_a_retry_too,
                fewer_resources_can_be_asked_for,
                other_resources_change_nothing,
                an_unused_token_expires,
                a_token_is_good_until_it_expires,
                a_rotation_prolongs,
                a_grant_ends_however_often_it_is_refreshed,
                an_old_token_of_an_expired_one_revokes_the_grant,
                an_unknown_token_is_unknown,
                a_future_generation_is_unknown,
                another_secret_of_the_same_generation_is_unknown,
            }
            tokens {
                a_caller_is_read,
                a_caller_may_be_unknown,
                a_caller_need_not_be_read,
                no_token_is_inactive,
                signing_keys_come_along,
                a_refresh_token_is_described,
                a_rotated_token_is_described_in_its_place,
                a_refresh_token_expires,
                a_refresh_token_ends_with_its_grant,
                an_unknown_refresh_token_is_inactive,
                an_access_token_of_a_client_is_active,
                an_access_token_of_a_grant_names_the_user,
                an_access_token_of_an_unknown_client_is_inactive,
                an_access_token_of_an_unknown_grant_is_inactive,
                an_access_token_ends_with_its_grant,
                revoking_a_refresh_token_ends_the_grant,
                revoking_an_old_refresh_token_ends_the_grant,
                revoking_one_grant_spares_another,
                a_foreign_refresh_token_is_not_revoked,
                an_access_token_is_revoked_alone,
                a_foreign_access_token_is_not_revoked,
                revoking_twice_is_fine,
                revoking_what_is_unknown_is_fine,
            }
            signing_keys {
                there_is_none_at_first,
                a_key_is_stored,
                a_predecessor_retires,
                a_retired_key_vanishes,
                keys_are_listed_oldest_first,
                a_number_is_given_once,
                all_algorithms_share_the_numbers,
                a_key_is_sealed_anew,
                a_key_that_was_sealed_anew_since_stays,
            }
            accounts {
                a_registration_makes_an_account,
                a_registration_of_a_taken_address_sends_the_other_mail,
                a_registration_gets_another_name_where_it_is_taken,
                an_address_is_verified,
                a_link_ends,
                a_link_is_for_one_purpose,
                a_newer_link_takes_the_place_of_an_older_one,
                an_address_changes,
                a_taken_address_cannot_be_had,
                a_forgotten_password_sends_a_link,
                a_forgotten_password_of_nobody_sends_nothing,
                a_reset_ends_everything,
                a_changed_password_ends_everything_else,
                a_password_that_was_changed_since_stays,
                credentials_are_read_by_key,
                sessions_are_listed_and_ended,
                grants_are_listed_and_revoked,
                access_ends_everywhere,
                ended_links_are_swept,
                one_link_is_used_once,
                one_address_is_registered_once,
                a_rotation_cannot_outrun_a_reset,
            }
            outbox {
                there_is_none_at_first,
                mail_is_taken_up,
                a_lease_ends,
                a_late_worker_changes_nothing,
                a_failed_mail_is_due_again_or_given_up,
                mail_is_not_sent_too_late,
                mail_of_no_use_is_swept,
                two_workers_have_different_mails,
            }
            administration {
                a_client_is_shown_as_it_was_registered,
                clients_are_listed_in_pages,
                clients_are_filtered,
                a_client_is_changed,
                a_secret_rotates,
                a_deleted_client_takes_everything_along,
                a_scope_is_administered,
                accounts_are_listed,
                an_account_is_changed,
                a_locked_account_loses_its_access,
                the_last_administrator_stays,
                one_administrator_is_left_by_a_race,
                an_assigned_password_ends_everything,
                a_deleted_account_takes_everything_along,
                sessions_are_administered,
                grants_are_administered,
                the_audit_log_is_filtered,
            }
            jobs {
                none_has_run_at_first,
                a_run_is_recorded,
                the_last_success_is_remembered,
                jobs_are_apart,
                a_lease_is_renewed_by_its_holder,
                a_dead_holders_lease_passes_on,
                a_late_holder_changes_nothing,
                racers_get_one_lease,
            }
            maintenance {
                sweeping_nothing_removes_nothing,
                ended_sessions_are_swept,
                ended_codes_are_swept,
                unused_refresh_tokens_are_swept,
                ended_revocations_are_swept,
                ended_grants_are_swept_with_all_they_have,
                a_sweep_is_bounded,
                what_is_live_is_kept,
                a_replay_is_noticed_after_a_sweep,
                revocations_outlast_a_sweep,
                everything_is_counted,
            }
            limits {
                permits_are_granted_up_to_the_quota,
                a_block_is_granted_in_part,
                a_window_ends,
                keys_are_counted_apart,
                racers_take_the_quota_and_no_more,
                an_attempt_reads_the_account,
                nothing_is_counted_unasked,
                permits_come_first,
                attempts_from_one_origin_wait_longer_each_time,
                attempts_from_everywhere_wait_longer_each_time,
                an_account_that_does_not_exist_is_counted_alike,
                the_owner_gets_in_from_a_known_origin,
                a_known_browser_is_counted_by_itself,
                a_login_forgets_its_attempts,
                racing_attempts_are_all_counted,
                logins_race_with_attempts,
                ended_counters_and_origins_are_swept,
            }
            audit {
                a_record_is_read_back,
                records_are_listed_newest_first,
                a_record_is_appended_once,
                no_record_is_lost,
                a_login_and_a_logout_are_recorded,
                a_consent_is_recorded,
                a_revocation_is_recorded,
                old_records_are_swept,
            }
            races {
                one_code_is_issued_once,
                two_redemptions_leave_nothing_alive,
                a_replay_catches_up_with_a_rotation,
                one_token_has_one_successor,
                a_rotation_cannot_outrun_a_revocation,
                a_rotation_cannot_outrun_a_replay,
                one_account_is_made_once,
                one_client_is_registered_once,
                one_scope_is_registered_once,
                one_signing_key_is_next,
                consent_adds_up,
                a_sweep_loses_no_live_token,
                sweeps_side_by_side_remove_everything_once,
            }
        }
    };
}

#[cfg(test)]
mod tests {
    /// A case that [`store_suite!`](crate::store_suite) forgets would never run.
    #[test]
    fn every_case_is_listed() {
        let listed = include_str!("suite.rs");
        for (module, source) in [
            ("accounts", include_str!("suite/accounts.rs")),
            ("outbox", include_str!("suite/outbox.rs")),
            ("audit", include_str!("suite/audit.rs")),
            ("clients", include_str!("suite/clients.rs")),
            ("codes", include_str!("suite/codes.rs")),
            ("jobs", include_str!("suite/jobs.rs")),
            ("limits", include_str!("suite/limits.rs")),
            ("maintenance", include_str!("suite/maintenance.rs")),
            ("races", include_str!("suite/races.rs")),
            ("refresh", include_str!("suite/refresh.rs")),
            ("signing_keys", include_str!("suite/signing_keys.rs")),
            ("tokens", include_str!("suite/tokens.rs")),
            ("users", include_str!("suite/users.rs")),
        ] {
            let (_, list) = listed.split_once(&format!("            {module} {{")).expect("the module is listed");
            let (list, _) = list.split_once('}').expect("it is closed");
            for case in source.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let (name, _) = case.split_once('<').expect("generic over the store");
                assert!(list.lines().any(|line| line.trim().strip_suffix(',') == Some(name)), "{module}::{name}");
            }
        }
    }
}
