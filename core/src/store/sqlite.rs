//! The statements of the embedded database. They are text only: what runs them is the native target's `SqliteStore`.
//!
//! SQLite has real transactions and one writer, so a transition loads what it needs, asks [`crate::grant`], and writes
//! the answer down, all in one `BEGIN IMMEDIATE` transaction.

/// The newest migration that this release needs.
pub const SCHEMA_VERSION: i64 = 2;

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
    ATTEMPT_LOGIN = "attempt_login",
    AUDIT_LOG = "audit_log",
    CLIENT = "client",
    CLIENTS = "clients",
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
    END_SESSION = "end_session",
    GRANT_OF_TOKEN = "grant_of_token",
    INTROSPECT_ACCESS_TOKEN = "introspect_access_token",
    INTROSPECT_REFRESH_TOKEN = "introspect_refresh_token",
    LOAD_CODE = "load_code",
    LOAD_REFRESH_TOKEN = "load_refresh_token",
    MARK_CODE_REDEEMED = "mark_code_redeemed",
    READY = "ready",
    RECORD_EVENT = "record_event",
    REMEMBER_CONSENT = "remember_consent",
    REMEMBER_ORIGIN = "remember_origin",
    REPLACE_PASSWORD_HASH = "replace_password_hash",
    RESEAL_SIGNING_KEY = "reseal_signing_key",
    RETIRE_SIGNING_KEYS = "retire_signing_keys",
    REVOKE_ACCESS_TOKEN = "revoke_access_token",
    REVOKE_GRANT = "revoke_grant",
    ROTATE_REFRESH_TOKEN = "rotate_refresh_token",
    SCOPES = "scopes",
    SESSION = "session",
    SESSION_AND_CONSENT = "session_and_consent",
    SESSION_OWNER = "session_owner",
    SIGNING_KEYS = "signing_keys",
    SWEEP_AUDIT_LOG = "sweep_audit_log",
    SWEEP_CODES = "sweep_codes",
    SWEEP_GRANTS = "sweep_grants",
    SWEEP_ORIGINS = "sweep_origins",
    SWEEP_SESSIONS = "sweep_sessions",
    SWEEP_TOKENS = "sweep_tokens",
    USER_BY_LOGIN = "user_by_login",
}
