//! The statements of the embedded database. They are text only: what runs them is the native target's `SqliteStore`.
//!
//! SQLite has real transactions and one writer, so a transition loads what it needs, asks [`crate::grant`], and writes
//! the answer down, all in one `BEGIN IMMEDIATE` transaction.

/// The newest migration that this release needs.
pub const SCHEMA_VERSION: i64 = 5;

macro_rules! statements {
    ($($name:ident = $file:literal,)+) => {
        $(
            #[doc = concat!("`", $file, ".sql`, which says what it does.")]
            pub const $name: &str = include_str!(concat!("sqlite/", $file, ".sql"));
        )+

        /// Every statement, by the name of its file.
        pub const ALL: &[(&str, &str)] = &[$(($file, $name)),+];
    };
}

statements! {
    ADDRESS_OWNER = "address_owner",
    ASSIGN_PASSWORD = "assign_password",
    ATTEMPT_LOGIN = "attempt_login",
    AUDIT_LOG = "audit_log",
    CLAIM_MAIL = "claim_mail",
    CLIENT = "client",
    CLIENT_RECORDS = "client_records",
    COUNTS = "counts",
    CREATE_CLIENT = "create_client",
    CREATE_CLIENT_SCOPES = "create_client_scopes",
    CREATE_CODE = "create_code",
    CREATE_GRANT = "create_grant",
    CREATE_REFRESH_TOKEN = "create_refresh_token",
    CREATE_SCOPE = "create_scope",
    CREATE_SESSION = "create_session",
    CREATE_SIGNING_KEY = "create_signing_key",
    CREATE_USER = "create_user",
    CREDENTIALS = "credentials",
    DEFER_MAIL = "defer_mail",
    DELETE_CLIENT = "delete_client",
    DELETE_SCOPE = "delete_scope",
    DELETE_USER = "delete_user",
    DUE_MAIL = "due_mail",
    EMAIL_TOKEN = "email_token",
    END_ANY_SESSION = "end_any_session",
    END_EMAIL_TOKEN = "end_email_token",
    END_EMAIL_TOKENS = "end_email_tokens",
    END_FOREIGN_EMAIL_TOKENS = "end_foreign_email_tokens",
    END_OWN_SESSION = "end_own_session",
    END_SESSION = "end_session",
    END_SESSIONS = "end_sessions",
    FINISH_JOB = "finish_job",
    FORGET_CONSENT = "forget_consent",
    GRANT_OF_TOKEN = "grant_of_token",
    GRANT_RECORDS = "grant_records",
    GRANTS_OF_USER = "grants_of_user",
    INTROSPECT_ACCESS_TOKEN = "introspect_access_token",
    INTROSPECT_REFRESH_TOKEN = "introspect_refresh_token",
    JOBS = "jobs",
    JUDGE_USER_CHANGE = "judge_user_change",
    LOAD_CODE = "load_code",
    LOAD_REFRESH_TOKEN = "load_refresh_token",
    MAIL_BACKLOG = "mail_backlog",
    MARK_CODE_REDEEMED = "mark_code_redeemed",
    NAME_IS_TAKEN = "name_is_taken",
    PUT_EMAIL_TOKEN = "put_email_token",
    QUEUE_MAIL = "queue_mail",
    READY = "ready",
    RECORD_EVENT = "record_event",
    REMEMBER_CONSENT = "remember_consent",
    REMEMBER_ORIGIN = "remember_origin",
    REMOVE_MAIL = "remove_mail",
    REPLACE_PASSWORD_HASH = "replace_password_hash",
    RESEAL_SIGNING_KEY = "reseal_signing_key",
    RETIRE_SIGNING_KEYS = "retire_signing_keys",
    REVOKE_ACCESS_TOKEN = "revoke_access_token",
    REVOKE_GRANT = "revoke_grant",
    REVOKE_GRANTS = "revoke_grants",
    ROTATE_CLIENT_SECRET = "rotate_client_secret",
    ROTATE_REFRESH_TOKEN = "rotate_refresh_token",
    SCOPE_RECORDS = "scope_records",
    SCOPES = "scopes",
    SESSION = "session",
    SESSION_AND_CONSENT = "session_and_consent",
    SESSION_OWNER = "session_owner",
    SESSION_RECORDS = "session_records",
    SESSIONS_OF_USER = "sessions_of_user",
    SET_PASSWORD = "set_password",
    SIGNING_KEYS = "signing_keys",
    SWEEP_AUDIT_LOG = "sweep_audit_log",
    SWEEP_CODES = "sweep_codes",
    SWEEP_EMAIL_TOKENS = "sweep_email_tokens",
    SWEEP_GRANTS = "sweep_grants",
    SWEEP_MAIL = "sweep_mail",
    SWEEP_ORIGINS = "sweep_origins",
    SWEEP_SESSIONS = "sweep_sessions",
    SWEEP_TOKENS = "sweep_tokens",
    TAKE_JOB = "take_job",
    UPDATE_CLIENT = "update_client",
    UPDATE_SCOPE = "update_scope",
    UPDATE_USER = "update_user",
    USER_BY_LOGIN = "user_by_login",
    USER_RECORDS = "user_records",
    VERIFY_EMAIL = "verify_email",
    WITHDRAW_CLIENT_SCOPES = "withdraw_client_scopes",
}
