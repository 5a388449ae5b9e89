//! What every host must do, over HTTP: each clause of `requirements.md`. A scenario knows the server's address and
//! its database's fixtures, and nothing of how it is run.

pub mod access_tokens;
pub mod accounts;
pub mod admin_alone;
pub mod admin_authorization;
pub mod admin_clients;
pub mod admin_input;
pub mod admin_scopes;
pub mod admin_system;
pub mod admin_users;
pub mod administration;
pub mod authorization_endpoint;
pub mod bad_input;
pub mod client_credentials;
pub mod configuration;
pub mod consent;
pub mod introspection;
pub mod limits;
pub mod metadata;
pub mod openapi;
pub mod refresh;
pub mod revocation;
pub mod sessions;
pub mod token_endpoint;

use crate::{http::parameters, target::Target, user_agent::Landing};

/// Asserts an error that was sent to the client, complete and without a code (RFC 6749 §4.1.2.1, RFC 9207 §2.1).
#[track_caller]
pub fn expect_denied_at_client(target: &Target, landing: Landing, error: &str) {
    let url = landing.client();
    let answer = parameters(&url);
    assert_eq!(answer.get("error").map(String::as_str), Some(error), "{url}");
    assert_eq!(answer.get("state").map(String::as_str), Some("a state & more = ü"), "{url}");
    assert_eq!(answer.get("iss").map(String::as_str), Some(target.issuer()), "{url}");
    assert!(answer.contains_key("error_description") && !answer.contains_key("code"), "{url}");
    assert!(url.fragment().is_none(), "{url}");
}

/// Turns every scenario into a test of this [`Host`](crate::target::Host): all of them, the same on each.
#[macro_export]
macro_rules! http_scenarios {
    ($host:path) => {
        $crate::http_scenarios! { @ $host;
            shared access_tokens {
                an_access_token_has_the_form_of_rfc_9068
                bearer_tokens_are_taken_from_the_authorization_header_only
                a_token_that_is_not_good_is_401_with_a_challenge
                forged_tokens_are_refused
                users_me_needs_the_scope_profile_for_name_and_address
                a_revoked_token_is_not_accepted
            }
            shared accounts {
                a_registration_leads_to_an_account
                a_taken_address_is_told_by_mail_only
                weak_passwords_are_refused
                a_link_alone_verifies_nothing
                an_unverified_account_authorizes_nobody
                links_end_and_give_way_to_newer_ones
                a_forgotten_password_is_replaced
                a_reset_verifies_the_address
                a_forgotten_password_of_nobody_looks_the_same
                of_16_concurrent_resets_one_succeeds
                a_changed_password_ends_everything_else
                an_address_is_changed_by_the_link_to_the_new_one
                a_change_to_a_taken_address_tells_nothing
                the_account_page_shows_and_ends_sessions_and_applications
                logging_out_everywhere_ends_everything
                accounts_need_a_login_and_forms_of_their_own
                links_are_stored_as_digests_and_mail_is_sealed
            }
            shared authorization_endpoint {
                requests_by_get_and_by_post_work
                a_repeated_parameter_is_invalid_request
                an_empty_parameter_is_as_if_absent
                unknown_parameters_are_ignored
                an_unknown_client_is_an_error_page
                an_unregistered_redirect_uri_is_an_error_page
                a_redirect_uri_with_a_fragment_is_an_error_page
                redirect_uri_may_be_left_out_only_if_one_is_registered
                only_the_port_of_a_loopback_literal_may_differ
                private_use_schemes_work_and_contain_a_dot
                every_other_error_goes_back_by_redirect_with_state_and_iss
                success_carries_code_state_and_iss
                only_response_type_code_exists
                code_challenge_is_required_and_s256
                there_is_no_cors
                every_page_forbids_framing
                redirects_are_303
                the_person_is_authenticated_before_any_redirect_to_the_client
                scopes_are_limited_to_client_and_person
                a_post_reads_its_form_only
                every_code_is_new
            }
            shared bad_input {
                a_wrong_method_is_405_with_allow
                head_works_where_get_does
                a_wrong_content_type_is_415
                a_body_over_one_mebibyte_is_413
                a_long_request_target_is_414
                nul_and_invalid_utf8_are_400
                odd_forms_never_break_the_server
                duplicate_headers_are_400
                odd_headers_are_4xx_at_worst
                an_unknown_path_is_404
                odd_cookies_are_ignored
                every_reply_has_its_security_headers_and_an_id
            }
            shared administration {
                a_client_with_the_scope_runs_maintenance
                maintenance_takes_the_scope
                maintenance_takes_a_token
            }
            own admin_alone {
                a_token_for_another_audience_is_refused
                the_last_administrator_stays
                the_next_key_is_published_before_it_signs
                a_stolen_key_is_replaced_at_once
                under_hs256_there_are_no_keys
                the_status_counts
            }
            shared admin_authorization {
                every_operation_takes_a_token
                every_operation_takes_its_own_scope
                a_persons_token_takes_an_administrator
                a_demoted_administrators_token_stops_at_once
                an_operators_token_ends_with_its_client
                head_works_and_other_methods_are_405
            }
            shared admin_clients {
                a_client_lives_from_registration_to_deletion
                what_is_left_out_of_a_client_has_its_default
                clients_are_found
                pages_hold_while_rows_come_and_go
                a_secret_is_rotated_with_an_overlap
                a_deactivated_client_is_refused_at_once
                a_deleted_clients_tokens_are_dead
                a_change_of_a_client_counts_at_once
                a_merge_patch_changes_what_it_names
                unacceptable_clients_are_refused
                ids_are_percent_encoded_in_paths
            }
            shared admin_input {
                malformed_bodies_are_400
                other_content_types_are_415
                a_large_body_is_413
                odd_targets_and_headers_are_refused
                a_dry_run_changes_nothing
            }
            shared admin_scopes {
                a_scope_lives_from_its_making_to_its_deletion
                scopes_are_found
                a_default_scope_is_given_to_who_asks_for_none
                unacceptable_scopes_are_refused
            }
            shared admin_system {
                jobs_and_their_runs_are_listed
                every_change_is_in_the_audit_log
                the_audit_log_is_filtered_and_exported
            }
            shared admin_users {
                an_account_lives_from_its_making_to_its_deletion
                users_are_found
                a_password_that_is_set_ends_everything
                a_locked_account_is_of_no_use
                a_person_is_logged_out_everywhere
                unacceptable_accounts_are_refused
                sessions_and_grants_are_listed_and_ended
            }
            shared openapi {
                the_document_is_served
                answers_are_as_described
            }
            shared client_credentials {
                a_confidential_client_gets_a_token_for_itself
                scopes_are_those_of_the_client
                a_public_client_gets_none
                client_ids_cannot_collide_with_user_ids
                the_token_is_no_persons
            }
            own configuration {
                eddsa_tokens_verify_with_the_published_key
                rs256_tokens_verify_with_the_published_key
                hs256_tokens_verify_with_the_secret_and_there_is_no_jwks
                an_issuer_with_a_path_is_served_at_the_location_of_rfc_8414
                an_https_issuer_has_host_cookies_and_hsts
                without_pkce_a_verifier_is_required_iff_a_challenge_was_sent
                without_consent_public_loopback_clients_are_asked_for_all_the_same
                cors_is_for_configured_origins_and_never_for_pages
                only_allowed_hosts_are_answered
                with_oauth_disabled_its_endpoints_are_not_there
                configured_lifetimes_are_kept
                without_a_grace_every_second_use_kills_the_grant
                resources_become_the_audience
                a_wrong_resource_does_not_use_up_the_code
                without_a_cache_a_deactivated_client_is_refused_at_once
                the_front_page_names_the_issuer
                registration_can_be_switched_off
                verification_can_be_optional
            }
            shared consent {
                the_page_shows_client_host_scopes_and_person
                remembered_consent_skips_the_page_for_clients_that_are_sure
                a_public_client_without_claimed_https_is_always_asked_for
                denying_sends_access_denied
                the_form_is_bound_to_session_and_request
                only_allow_and_deny_are_decisions
                a_decision_needs_a_login
                the_decision_is_checked_against_the_client_as_it_is
            }
            shared introspection {
                an_active_token_is_described
                an_inactive_token_is_exactly_active_false
                the_caller_authenticates_and_is_confidential
                a_client_sees_only_tokens_meant_for_it
                token_type_hint_is_only_a_hint
            }
            own limits {
                strangers_are_limited_by_address
                clients_that_authenticate_are_not_limited
                people_who_are_logged_in_are_not_limited
                limits_can_be_switched_off
                wrong_passwords_are_slowed_down
                the_owner_gets_in_while_others_guess
                security_events_are_recorded
            }
            shared metadata {
                the_document_says_what_this_server_does
                everything_advertised_works
                nothing_works_that_is_not_advertised
                the_document_is_cacheable_json
                the_jwk_set_has_public_keys_only
                health_checks_answer
            }
            shared refresh {
                every_client_gets_a_new_refresh_token_each_time
                another_client_can_neither_use_nor_revoke_it
                the_scope_can_be_narrowed
                widening_the_scope_is_invalid_scope
                a_retry_within_the_grace_returns_the_same_successor
                of_32_concurrent_uses_all_get_the_same_successor
                an_old_token_after_its_successors_use_kills_the_grant
                a_token_of_any_older_generation_kills_the_grant
                a_retry_after_the_grace_kills_the_grant
                concurrent_uses_never_leave_two_live_successors
                an_idle_refresh_token_expires
                a_grant_expires_however_often_it_is_used
                deactivating_the_person_revokes
                revoking_the_grants_revokes_all_their_tokens
                deactivating_the_client_revokes
                the_refresh_endpoint_implies_its_grant_type
                what_is_no_refresh_token_is_invalid_grant
            }
            shared revocation {
                a_refresh_token_takes_its_grant_along
                an_access_token_goes_alone
                unknown_and_dead_tokens_are_200
                a_foreign_token_stays_alive
                token_type_hint_is_only_a_hint
                what_cannot_be_revoked_here_is_unsupported_token_type
                the_client_authenticates_and_sends_a_token
            }
            shared sessions {
                the_session_cookie_is_http_only_and_same_site
                the_session_changes_at_every_login
                a_made_up_session_is_not_adopted
                a_form_of_a_second_tab_goes_on
                a_person_logs_in_by_name_or_address
                a_failed_login_tells_nothing
                the_login_form_is_bound_to_the_browser
                logging_out_needs_the_form_and_ends_the_session
                return_to_never_leads_to_another_site
                a_session_ends_with_its_time_and_with_the_account
                pages_are_not_kept_and_have_no_script
                forms_may_lead_to_the_client_only
            }
            shared token_endpoint {
                a_code_becomes_tokens
                scope_is_always_returned
                only_forms_are_read
                parameters_in_the_uri_are_refused
                a_repeated_parameter_is_invalid_request
                empty_is_absent_and_unknown_is_ignored
                client_secret_basic_and_client_secret_post_work
                two_authentication_methods_at_once_are_refused
                public_clients_name_themselves_by_client_id
                a_failed_basic_is_401_with_a_challenge
                basic_credentials_are_form_decoded
                a_confidential_client_always_authenticates
                the_verifier_must_be_right_and_a_wrong_one_changes_nothing
                verifiers_have_43_to_128_unreserved_characters
                a_second_use_of_a_code_revokes_what_the_first_one_issued
                another_clients_use_of_a_code_changes_nothing
                of_32_concurrent_uses_exactly_one_succeeds
                redirect_uri_is_not_needed_but_must_match
                an_expired_code_is_refused
                codes_tokens_and_cookies_are_stored_as_digests
                other_grant_types_do_not_exist
                a_client_uses_only_the_grants_it_is_registered_for
                errors_leak_nothing
                a_code_of_a_deactivated_person_is_refused
            }
        }
    };
    (@ $host:path; $($kind:ident $area:ident { $($scenario:ident)* })*) => {
        $(mod $area {
            $($crate::http_scenarios! { @ $kind $host; $area $scenario })*
        })*
    };
    (@ shared $host:path; $area:ident $scenario:ident) => {
        #[tokio::test]
        async fn $scenario() {
            let running = <$host as $crate::target::Host>::shared().await;
            $crate::scenarios::$area::$scenario(&running).await;
        }
    };
    (@ own $host:path; $area:ident $scenario:ident) => {
        #[tokio::test]
        async fn $scenario() {
            $crate::scenarios::$area::$scenario::<$host>().await;
        }
    };
}
