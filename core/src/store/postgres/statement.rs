/// One statement, with one meaning.
#[derive(Debug)]
pub struct Statement {
    /// The name of its file, for logs and metrics.
    pub name: &'static str,
    /// Its text, with parameters `$1`, `$2`, ….
    pub sql: &'static str,
}

macro_rules! statements {
    ($($name:ident = $file:literal),+ $(,)?) => {
        $(pub(super) static $name: Statement =
            Statement { name: $file, sql: include_str!(concat!($file, ".sql")) };)+

        /// Every statement, so that a test can prepare them all against the migrated schema.
        pub static STATEMENTS: &[&Statement] = &[$(&$name),+];
    };
}

statements! {
    READY = "ready",
    CLIENT = "client",
    CREATE_CLIENT = "create_client",
    SCOPES = "scopes",
    CREATE_SCOPE = "create_scope",
    USER_BY_LOGIN = "user_by_login",
    CREATE_USER = "create_user",
    REPLACE_PASSWORD_HASH = "replace_password_hash",
    CREATE_SESSION = "create_session",
    SESSION = "session",
    END_SESSION = "end_session",
    SESSION_AND_CONSENT = "session_and_consent",
    CREATE_GRANT = "create_grant",
    REDEEM_CODE = "redeem_code",
    ROTATE_REFRESH_TOKEN = "rotate_refresh_token",
    REVOKE_REFRESH_TOKEN = "revoke_refresh_token",
    REVOKE_ACCESS_TOKEN = "revoke_access_token",
    INTROSPECT_REFRESH_TOKEN = "introspect_refresh_token",
    INTROSPECT_ACCESS_TOKEN = "introspect_access_token",
    SIGNING_KEYS = "signing_keys",
    CREATE_SIGNING_KEY = "create_signing_key",
    RESEAL_SIGNING_KEY = "reseal_signing_key",
    SWEEP = "sweep",
    COUNTS = "counts",
    TAKE_PERMITS = "take_permits",
    ATTEMPT_LOGIN = "attempt_login",
    SWEEP_LIMITS = "sweep_limits",
    RECORD_EVENT = "record_event",
    AUDIT_LOG = "audit_log",
    SWEEP_AUDIT_LOG = "sweep_audit_log",
    REGISTER = "register",
    REQUEST_VERIFICATION = "request_verification",
    REQUEST_RESET = "request_reset",
    EMAIL_TOKEN = "email_token",
    VERIFY_EMAIL = "verify_email",
    RESET_PASSWORD = "reset_password",
    CHANGE_PASSWORD = "change_password",
    CREDENTIALS = "credentials",
    SESSIONS_OF_USER = "sessions_of_user",
    GRANTS_OF_USER = "grants_of_user",
    END_OWN_SESSION = "end_own_session",
    REVOKE_APPLICATION = "revoke_application",
    END_ACCESS = "end_access",
    SWEEP_EMAIL_TOKENS = "sweep_email_tokens",
    CLAIM_MAIL = "claim_mail",
    REMOVE_MAIL = "remove_mail",
    DEFER_MAIL = "defer_mail",
    MAIL_BACKLOG = "mail_backlog",
    SWEEP_MAIL = "sweep_mail",
    CLIENT_RECORDS = "client_records",
    UPDATE_CLIENT = "update_client",
    ROTATE_CLIENT_SECRET = "rotate_client_secret",
    DELETE_CLIENT = "delete_client",
    SCOPE_RECORDS = "scope_records",
    UPDATE_SCOPE = "update_scope",
    DELETE_SCOPE = "delete_scope",
    USER_RECORDS = "user_records",
    UPDATE_USER = "update_user",
    ASSIGN_PASSWORD = "assign_password",
    DELETE_USER = "delete_user",
    SESSION_RECORDS = "session_records",
    END_ANY_SESSION = "end_any_session",
    GRANT_RECORDS = "grant_records",
    REVOKE_GRANT = "revoke_grant",
    TAKE_JOB = "take_job",
    FINISH_JOB = "finish_job",
    JOBS = "jobs",
}
