//! Configuration from the environment. Every variable may come from a file named by `NAME_FILE` instead.

use std::{
    fmt, fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use authly_core::{
    config::{Config, Environment, Problem, Reader, Setting},
    proxy::TrustedProxies,
};

use crate::{data, host::HashingLimits, otlp::OtlpConfig, redis::RedisUrl, smtp::SmtpConfig};

/// Where state is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file, made where it is missing.
    Sqlite(PathBuf),
    /// A server.
    Postgres(String),
}

impl DatabaseUrl {
    /// The embedded default.
    pub const DEFAULT: &str = "sqlite://./data/authly.db";

    /// Reads a URL; `None` where it is of no known kind.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return (!path.is_empty() && path != ":memory:").then(|| Self::Sqlite(PathBuf::from(path)));
        }
        let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
        is_postgres.then(|| Self::Postgres(text.to_owned()))
    }
}

impl fmt::Display for DatabaseUrl {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(text) => match url::Url::parse(text) {
                Ok(mut url) => {
                    if url.password().is_some() {
                        let _ = url.set_password(Some("redacted"));
                    }
                    // Query parameters can carry a password too.
                    url.set_query(None);
                    write!(f, "{url}")
                }
                Err(_) => f.write_str("(redacted)"),
            },
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Pretty => "pretty",
        })
    }
}

/// What a native target is configured with.
#[derive(Clone, Debug)]
pub struct NativeConfig {
    /// The core's part.
    pub core: Config,
    /// `DATABASE_URL`.
    pub database_url: DatabaseUrl,
    /// `REDIS_URL`: counters of limits are kept there rather than in the database.
    pub redis_url: Option<RedisUrl>,
    /// `DATABASE_POOL_SIZE`: connections to Postgres.
    pub database_pool_size: u32,
    /// `HOST` and `PORT`.
    pub listen: SocketAddr,
    /// `TRUSTED_PROXIES`.
    pub trusted_proxies: TrustedProxies,
    /// `LOG_LEVEL`.
    pub log_level: String,
    /// `LOG_FORMAT`.
    pub log_format: LogFormat,
    /// `METRICS_ENABLED`.
    pub metrics_enabled: bool,
    /// `METRICS_ADDRESS`: where metrics are served, if not beside everything else.
    pub metrics_address: Option<SocketAddr>,
    /// The collector of traces, where there is one.
    pub otlp: Option<OtlpConfig>,
    /// `ADMIN_EMAIL` and `ADMIN_PASSWORD`: an administrator to make where there is none of this address.
    pub admin: Option<Administrator>,
    /// `PASSWORD_HASHING_CONCURRENCY` and `PASSWORD_HASHING_QUEUE`.
    pub hashing: HashingLimits,
    /// The mail server, where there is one.
    pub smtp: Option<SmtpConfig>,
    /// `REQUEST_TIMEOUT_SECONDS`: reading a request and answering it take no longer.
    pub request_timeout: Duration,
    /// `SHUTDOWN_TIMEOUT_SECONDS`: requests in flight are given so long to finish.
    pub shutdown_timeout: Duration,
    /// `SHUTDOWN_DRAIN_SECONDS`: of these, so long open connections are served once more, since a proxy may be about to
    /// send a request on one that is idle.
    pub shutdown_drain: Duration,
    /// `MAINTENANCE_INTERVAL_MINUTES`; none where something else runs the jobs.
    pub maintenance_interval: Option<Duration>,
    /// The effective configuration, for people.
    pub settings: Vec<Setting>,
}

/// An administrator's account.
#[derive(Clone)]
pub struct Administrator {
    /// The address, also the user name.
    pub email: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Administrator({})", self.email)
    }
}

/// A variable of the process's environment, or of the file that `NAME_FILE` names. An empty one is as if unset: it is what
/// `${NAME:-}` makes of one that is.
pub fn environment_variable(name: &str) -> Result<Option<String>, String> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(value) = variable(name) {
        let value = value.into_string().map_err(|_| "it is not valid UTF-8".to_owned())?;
        return Ok(Some(value));
    }
    let Some(path) = variable(&format!("{name}_FILE")) else {
        return Ok(None);
    };
    let path = PathBuf::from(path);
    let text = fs::read_to_string(&path).map_err(|error| format!("{name}_FILE, {}: {error}", path.display()))?;
    Ok(Some(text))
}

/// `HOST` and `PORT`.
pub(crate) fn listen_address(reader: &mut Reader<'_>) -> SocketAddr {
    let address = "an IP address such as 0.0.0.0";
    let host = reader.parsed("HOST", IpAddr::from([127, 0, 0, 1]), address, |text| text.parse().ok());
    let port = reader.number("PORT", 8000, 0, 65535);
    SocketAddr::new(host, u16::try_from(port).unwrap_or(8000))
}

/// Tells a person at a terminal what is wrong, all of it; the exit code of a program that cannot go on.
pub fn report(problems: &[Problem]) -> ExitCode {
    eprintln!("The configuration cannot be used:");
    for problem in problems {
        eprintln!("  {problem}");
    }
    ExitCode::FAILURE
}

/// What is in force, a line each, secrets left out.
impl fmt::Display for NativeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for setting in &self.settings {
            let mark = if setting.is_set { "" } else { "  (default)" };
            writeln!(f, "{}={}{mark}", setting.variable, setting.value)?;
        }
        Ok(())
    }
}

impl NativeConfig {
    /// Reads the process's environment. Outside production, what is not set gets a convenient value, and secrets are
    /// made and kept in `./data`.
    pub fn from_environment() -> Result<Self, Vec<Problem>> {
        Self::read(&environment_variable)
    }

    /// Reads through `variable`.
    pub fn read(variable: &dyn Fn(&str) -> Result<Option<String>, String>) -> Result<Self, Vec<Problem>> {
        let get = |name: &str| variable(name).ok().flatten();
        let production = get("ENVIRONMENT").is_some_and(|text| matches!(text.trim(), "production" | "prod"));
        let port = get("PORT");
        let secrets = if production { Ok(None) } else { data::development_secrets(&get).map(Some) };
        let lookup = |name: &str| {
            get(name).or_else(|| match name {
                _ if production => None,
                "ISSUER_URL" => Some(format!("http://127.0.0.1:{}", port.as_deref().unwrap_or("8000"))),
                "JWT_SECRET_KEY" => secrets.as_ref().ok()?.as_ref()?.jwt_secret_key.clone(),
                "JWT_REFRESH_SECRET_KEY" => secrets.as_ref().ok()?.as_ref()?.jwt_refresh_secret_key.clone(),
                _ => None,
            })
        };
        let mut reader = Reader::new(&lookup);
        if let Err(error) = &secrets {
            reader.problem("JWT_SECRET_KEY", format!("it is not set, and none could be made: {error}"));
        }
        let core = Config::read(&mut reader);
        let environment = core.as_ref().map_or(Environment::Development, |core| core.environment);
        let database_url = Self::read_database_url(&mut reader, production);
        let redis_url = reader.secret("REDIS_URL").and_then(|text| {
            let url = RedisUrl::parse(&text);
            if url.is_none() {
                reader.problem("REDIS_URL", "it must be redis://user:password@host:port/number, or rediss:// for TLS");
            }
            url
        });
        let database_pool_size = reader.number("DATABASE_POOL_SIZE", 16, 1, 1000);
        let listen = listen_address(&mut reader);
        let trusted_proxies = TrustedProxies::read(&mut reader);
        let default_level = if core.as_ref().is_some_and(|core| core.debug) { "debug" } else { "info" };
        let log_level = reader.parsed("LOG_LEVEL", default_level.to_owned(), "a level such as info", |text| {
            tracing_subscriber::EnvFilter::try_new(text.to_ascii_lowercase()).ok()?;
            Some(text.to_ascii_lowercase())
        });
        let default_format = if environment == Environment::Production { LogFormat::Json } else { LogFormat::Pretty };
        let log_format = reader.parsed("LOG_FORMAT", default_format, "json or pretty", |text| match text {
            "json" => Some(LogFormat::Json),
            "pretty" => Some(LogFormat::Pretty),
            _ => None,
        });
        let metrics_enabled = reader.flag("METRICS_ENABLED", true);
        let metrics_address = reader.text("METRICS_ADDRESS").and_then(|text| {
            let address = text.parse().ok();
            if address.is_none() {
                reader.problem("METRICS_ADDRESS", "it must be an IP address with a port, such as 0.0.0.0:9464");
            }
            address
        });
        let otlp = OtlpConfig::read(&mut reader);
        let admin = Self::read_admin(&mut reader);
        let smtp = SmtpConfig::read(&mut reader, environment);
        let limits = HashingLimits::default();
        let concurrency = u32::try_from(limits.concurrency).unwrap_or(1);
        let queue = u32::try_from(limits.queue).unwrap_or(256);
        let hashing = HashingLimits {
            concurrency: reader.number("PASSWORD_HASHING_CONCURRENCY", concurrency, 1, 1024) as usize,
            queue: reader.number("PASSWORD_HASHING_QUEUE", queue, 1, 100_000) as usize,
        };
        let seconds = |value: u32| Duration::from_secs(value.into());
        let request_timeout = seconds(reader.number("REQUEST_TIMEOUT_SECONDS", 30, 1, 600));
        let shutdown_timeout = seconds(reader.number("SHUTDOWN_TIMEOUT_SECONDS", 25, 1, 600));
        let drain = if production { 5 } else { 0 };
        let shutdown_drain = seconds(reader.number("SHUTDOWN_DRAIN_SECONDS", drain, 0, 600));
        let interval = reader.number("MAINTENANCE_INTERVAL_MINUTES", 10, 0, 24 * 60);
        let maintenance_interval = (interval > 0).then(|| seconds(interval * 60));
        Self::report_unreadable_files(&mut reader, variable);
        let value = core.zip(database_url).map(|(core, database_url)| Self {
            core,
            database_url,
            redis_url,
            database_pool_size,
            listen,
            trusted_proxies,
            log_level,
            log_format,
            metrics_enabled,
            metrics_address,
            otlp,
            admin,
            hashing,
            smtp,
            request_timeout,
            shutdown_timeout,
            shutdown_drain,
            maintenance_interval,
            settings: Vec::new(),
        });
        let (config, settings) = reader.finish(value)?;
        Ok(Self { settings, ..config })
    }

    fn read_database_url(reader: &mut Reader<'_>, production: bool) -> Option<DatabaseUrl> {
        const HOW: &str = "postgresql://user:password@host/database or sqlite://path/to/file.db";
        let text = reader.secret("DATABASE_URL");
        let Some(text) = text else {
            if production {
                reader.problem("DATABASE_URL", format!("it is not set; production makes no database by itself: {HOW}"));
                return None;
            }
            return DatabaseUrl::parse(DatabaseUrl::DEFAULT);
        };
        let url = DatabaseUrl::parse(&text);
        if url.is_none() {
            reader.problem("DATABASE_URL", format!("it must be {HOW}"));
        }
        url
    }

    fn read_admin(reader: &mut Reader<'_>) -> Option<Administrator> {
        match (reader.text("ADMIN_EMAIL"), reader.secret("ADMIN_PASSWORD")) {
            (Some(email), Some(password)) => Some(Administrator { email, password }),
            (Some(_), None) => {
                reader.problem("ADMIN_PASSWORD", "it is not set, but ADMIN_EMAIL is");
                None
            }
            (None, Some(_)) => {
                reader.problem("ADMIN_EMAIL", "it is not set, but ADMIN_PASSWORD is");
                None
            }
            (None, None) => None,
        }
    }

    /// A file that cannot be read must not pass for a variable that is not set.
    fn report_unreadable_files(reader: &mut Reader<'_>, variable: &dyn Fn(&str) -> Result<Option<String>, String>) {
        let names: Vec<_> = reader.settings().iter().map(|setting| setting.variable).collect();
        for name in names {
            if let Err(problem) = variable(name) {
                reader.problem(name, problem);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_urls() {
        assert_eq!(DatabaseUrl::parse("sqlite://./data/a.db"), Some(DatabaseUrl::Sqlite("./data/a.db".into())));
        assert_eq!(DatabaseUrl::parse("sqlite:///abs/a.db"), Some(DatabaseUrl::Sqlite("/abs/a.db".into())));
        assert!(matches!(DatabaseUrl::parse("postgresql://u:p@h/d"), Some(DatabaseUrl::Postgres(_))));
        assert_eq!(DatabaseUrl::parse("mysql://h/d"), None);
        assert_eq!(DatabaseUrl::parse("sqlite::memory:"), None);
    }

    #[test]
    fn passwords_do_not_show() {
        let url = DatabaseUrl::parse("postgresql://u:hunter2@h/d?password=hunter2").expect("valid");
        assert!(!format!("{url} {url:?}").contains("hunter2"), "{url}");
    }

    #[test]
    fn production_has_no_conveniences() {
        let production = |name: &str| Ok((name == "ENVIRONMENT").then(|| "production".to_owned()));
        let problems = NativeConfig::read(&production).expect_err("nothing is configured");
        let names: Vec<_> = problems.iter().map(|problem| problem.variable).collect();
        assert_eq!(names, ["ISSUER_URL", "JWT_SECRET_KEY", "JWT_REFRESH_SECRET_KEY", "DATABASE_URL"]);
    }
}
