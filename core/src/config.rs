//! The configuration: parsed once, immutable, and checked as a whole, so that one start-up names every mistake.

use std::fmt;

use chrono::TimeDelta;
use url::Url;

use crate::{
    crypto::{Algorithm, RootSecret, RootSecrets, password::PasswordCost},
    limit::Quota,
    model::Resource,
};

/// A variable whose value cannot be used, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct Problem {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong, and what would be right. Never the value of a secret.
    pub problem: String,
}

/// One line of the effective configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The variable's name.
    pub variable: &'static str,
    /// Its effective value; secrets are redacted.
    pub value: String,
    /// Whether the operator set it.
    pub is_set: bool,
}

/// Reads variables one by one, and keeps every problem and every effective value.
pub struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
    settings: Vec<Setting>,
}

impl<'a> Reader<'a> {
    /// Reads through `lookup`: the environment, Spin's variables, or a test's table.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, problems: Vec::new(), settings: Vec::new() }
    }

    /// Records a problem.
    pub fn problem(&mut self, variable: &'static str, problem: impl Into<String>) {
        self.problems.push(Problem { variable, problem: problem.into() });
    }

    fn raw(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn record(&mut self, variable: &'static str, value: impl fmt::Display, is_set: bool) {
        self.settings.push(Setting { variable, value: value.to_string(), is_set });
    }

    /// A text; unset or empty is `None`.
    pub fn text(&mut self, variable: &'static str) -> Option<String> {
        let value = self.raw(variable);
        self.record(variable, value.as_deref().unwrap_or("(unset)"), value.is_some());
        value
    }

    /// A text that never shows.
    pub fn secret(&mut self, variable: &'static str) -> Option<String> {
        let value = self.raw(variable);
        self.record(variable, if value.is_some() { "(redacted)" } else { "(unset)" }, value.is_some());
        value
    }

    /// A value that `parse` understands; `expected` completes "it must be …".
    pub fn parsed<T: fmt::Display>(
        &mut self,
        variable: &'static str,
        default: T,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let raw = self.raw(variable);
        let value = match raw.as_deref().map(parse) {
            None => default,
            Some(Some(value)) => value,
            Some(None) => {
                self.problem(
                    variable,
                    format!("{:?} is not valid: it must be {expected}", raw.clone().unwrap_or_default()),
                );
                default
            }
        };
        self.record(variable, &value, raw.is_some());
        value
    }

    /// `true` or `false`.
    pub fn flag(&mut self, variable: &'static str, default: bool) -> bool {
        self.parsed(variable, default, "true or false", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        })
    }

    /// A whole number within bounds.
    pub fn number(&mut self, variable: &'static str, default: u32, min: u32, max: u32) -> u32 {
        self.parsed(variable, default, &format!("a whole number from {min} to {max}"), |text| {
            text.parse().ok().filter(|number| (min..=max).contains(number))
        })
    }

    /// A comma-separated list.
    pub fn list(&mut self, variable: &'static str) -> Vec<String> {
        let raw = self.raw(variable);
        let split = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        };
        let items = raw.as_deref().map(split).unwrap_or_default();
        self.record(variable, if items.is_empty() { "(unset)".to_owned() } else { items.join(",") }, raw.is_some());
        items
    }

    /// Everything that was read.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// `value`, unless there was any problem.
    pub fn finish<T>(self, value: Option<T>) -> Result<(T, Vec<Setting>), Vec<Problem>> {
        match value {
            Some(value) if self.problems.is_empty() => Ok((value, self.settings)),
            _ => Err(self.problems),
        }
    }
}

/// Where the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Conveniences are allowed.
    Development,
    /// Whatever is unsafe is refused.
    Production,
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Production => "production",
        })
    }
}

/// The issuer identifier (RFC 8414 §2): an https URL without query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    text: String,
    path: String,
    origin: String,
    host: String,
    is_https: bool,
    is_loopback: bool,
}

impl Issuer {
    /// `None` where the text is no such URL. It is kept byte for byte; a trailing slash is refused, since every
    /// client would have to repeat it.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let host = url.host_str()?.to_owned();
        let plain = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && !text.ends_with('/')
            && matches!(url.scheme(), "https" | "http");
        plain.then(|| Self {
            text: text.to_owned(),
            path: url.path().trim_end_matches('/').to_owned(),
            origin: url.origin().ascii_serialization(),
            is_https: url.scheme() == "https",
            is_loopback: matches!(host.as_str(), "127.0.0.1" | "[::1]" | "localhost"),
            host,
        })
    }

    /// The identifier, byte for byte as configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its path without a trailing slash: empty for an issuer at the root. Every endpoint is below it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether cookies can be `Secure`.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        self.is_loopback
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the core is configured with. Durations are exact; where a variable has a unit, its name says which.
#[derive(Clone, Debug)]
pub struct Config {
    /// `ISSUER_URL`.
    pub issuer: Issuer,
    /// `ENVIRONMENT`.
    pub environment: Environment,
    /// `DEBUG`: error responses show the cause of a fault. Refused in production.
    pub debug: bool,
    /// `JWT_SECRET_KEY`, `JWT_SECRET_KEY_PREVIOUS`.
    pub root: RootSecrets,
    /// `JWT_REFRESH_SECRET_KEY`, `JWT_REFRESH_SECRET_KEY_PREVIOUS`.
    pub refresh: RootSecrets,
    /// `JWT_ALGORITHM`.
    pub algorithm: Algorithm,
    /// `ACCESS_TOKEN_EXPIRE_MINUTES`.
    pub access_token_lifetime: TimeDelta,
    /// `REFRESH_TOKEN_EXPIRE_DAYS`: a refresh token ends when it was not used for so long.
    pub refresh_token_lifetime: TimeDelta,
    /// `GRANT_EXPIRE_DAYS`: everything that came of one authorization ends after so long, however often it is used.
    pub grant_lifetime: TimeDelta,
    /// `REFRESH_TOKEN_RETRY_SECONDS`: for so long a repeated use of a refresh token is taken for a retry.
    pub refresh_retry_window: TimeDelta,
    /// `AUTHORIZATION_CODE_EXPIRE_MINUTES`.
    pub authorization_code_lifetime: TimeDelta,
    /// `SESSION_EXPIRE_HOURS`.
    pub session_lifetime: TimeDelta,
    /// `SIGNING_KEY_EXPIRE_DAYS`.
    pub signing_key_lifetime: TimeDelta,
    /// `OAUTH_ENABLED`.
    pub oauth_enabled: bool,
    /// `PKCE_REQUIRED`: also of confidential clients. Public ones always need it.
    pub pkce_required: bool,
    /// `REQUIRE_USER_CONSENT`.
    pub require_user_consent: bool,
    /// `REGISTRATION_ENABLED`: anybody can make an account.
    pub registration_enabled: bool,
    /// `EMAIL_VERIFICATION_REQUIRED`: an account authorizes no client before its address is verified.
    pub email_verification_required: bool,
    /// `HEALTH_CHECK_ENABLED`.
    pub health_check_enabled: bool,
    /// `CORS_ORIGINS`.
    pub cors_origins: Vec<String>,
    /// `ALLOWED_HOSTS`; empty: the issuer's host and, outside production, loopback names.
    pub allowed_hosts: Vec<String>,
    /// `AUDIENCE`: the `aud` of a token for which no resource was asked.
    pub audience: String,
    /// `RESOURCES`: resource indicators that can be asked for, besides the default audience.
    pub resources: Vec<String>,
    /// `CACHE_TTL`: for so long a client is not read again.
    pub cache_ttl: TimeDelta,
    /// `RATE_LIMIT_ENABLED`, `RATE_LIMIT_REQUESTS_PER_MINUTE`: what strangers may ask for from one address; none where
    /// nothing is limited.
    pub rate_limit: Option<Quota>,
    /// `AUDIT_RETENTION_DAYS`: records of the audit log are removed after so long.
    pub audit_retention: TimeDelta,
    /// `ARGON2_MEMORY_KIB`, `ARGON2_ITERATIONS`, `ARGON2_PARALLELISM`.
    pub password_cost: PasswordCost,
    /// Whether `/demo` is served: set by a host on a first run, never in production.
    pub demo: bool,
}

/// Values from documentation that people copy without a change.
const EXAMPLE_SECRETS: [&str; 4] = ["your_", "change", "example", "secret_key"];

fn root_secret(
    reader: &mut Reader<'_>,
    variable: &'static str,
    previous: &'static str,
    environment: Environment,
) -> Option<RootSecrets> {
    const HOW: &str = "make one with `openssl rand -base64 48`";
    let mut read = |variable| {
        let text = reader.secret(variable)?;
        let lower = text.to_ascii_lowercase();
        let first = text.chars().next();
        if environment == Environment::Production
            && (EXAMPLE_SECRETS.iter().any(|example| lower.contains(example)) || text.chars().all(|c| Some(c) == first))
        {
            reader.problem(variable, format!("it looks like an example from documentation; {HOW}"));
        }
        let secret = RootSecret::new(&text);
        if secret.is_none() {
            let length = RootSecret::MIN_LENGTH;
            reader.problem(variable, format!("it must have at least {length} characters; {HOW}"));
        }
        Some((text, secret?))
    };
    let current = read(variable);
    let previous = read(previous);
    let Some((text, current)) = current else {
        if !reader.problems.iter().any(|problem| problem.variable == variable) {
            reader.problem(variable, format!("it is not set; {HOW}"));
        }
        return None;
    };
    let previous = previous.filter(|(previous, _)| *previous != text).map(|(_, secret)| secret);
    Some(RootSecrets { current, previous })
}

impl Config {
    /// Reads every variable of the core. Problems stay in the reader.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let environment =
            reader.parsed("ENVIRONMENT", Environment::Development, "development or production", |text| match text {
                "development" | "dev" | "test" => Some(Environment::Development),
                "production" | "prod" => Some(Environment::Production),
                _ => None,
            });
        let production = environment == Environment::Production;
        let issuer = Self::read_issuer(reader, production);
        let debug = reader.flag("DEBUG", false);
        if debug && production {
            reader.problem("DEBUG", "it shows internals to everybody, so production refuses it; set it to false");
        }
        let root = root_secret(reader, "JWT_SECRET_KEY", "JWT_SECRET_KEY_PREVIOUS", environment);
        let refresh = root_secret(reader, "JWT_REFRESH_SECRET_KEY", "JWT_REFRESH_SECRET_KEY_PREVIOUS", environment);
        if let (Some(root), Some(refresh)) = (&root, &refresh)
            && production
            && root.current.expose() == refresh.current.expose()
        {
            reader.problem("JWT_REFRESH_SECRET_KEY", "it must differ from JWT_SECRET_KEY");
        }
        let algorithm = reader
            .parsed("JWT_ALGORITHM", AlgorithmName(Algorithm::Es256), "ES256, EdDSA, RS256 or HS256", |text| {
                Algorithm::parse(text).map(AlgorithmName)
            })
            .0;
        let minutes = |value: u32| TimeDelta::minutes(value.into());
        let days = |value: u32| TimeDelta::days(value.into());
        let access_token_lifetime = minutes(reader.number("ACCESS_TOKEN_EXPIRE_MINUTES", 30, 1, 24 * 60));
        let refresh_token_lifetime = days(reader.number("REFRESH_TOKEN_EXPIRE_DAYS", 7, 1, 365));
        let grant_lifetime = days(reader.number("GRANT_EXPIRE_DAYS", 90, 1, 3650));
        let refresh_retry_window = TimeDelta::seconds(reader.number("REFRESH_TOKEN_RETRY_SECONDS", 30, 0, 300).into());
        let authorization_code_lifetime = minutes(reader.number("AUTHORIZATION_CODE_EXPIRE_MINUTES", 10, 1, 10));
        let session_lifetime = TimeDelta::hours(reader.number("SESSION_EXPIRE_HOURS", 24, 1, 24 * 90).into());
        let signing_key_lifetime = days(reader.number("SIGNING_KEY_EXPIRE_DAYS", 90, 2, 3650));
        let cache_ttl = TimeDelta::seconds(reader.number("CACHE_TTL", 5, 0, 3600).into());
        let rate_limit_enabled = reader.flag("RATE_LIMIT_ENABLED", true);
        let rate_limit = Quota::per_minute(reader.number("RATE_LIMIT_REQUESTS_PER_MINUTE", 100, 1, 1_000_000));
        let audit_retention = days(reader.number("AUDIT_RETENTION_DAYS", 90, 1, 3650));
        let oauth_enabled = reader.flag("OAUTH_ENABLED", true);
        let pkce_required = reader.flag("PKCE_REQUIRED", true);
        let require_user_consent = reader.flag("REQUIRE_USER_CONSENT", true);
        let registration_enabled = reader.flag("REGISTRATION_ENABLED", !production);
        // Where accounts are made by operators only, it is them who vouch for an address.
        let email_verification_required = reader.flag("EMAIL_VERIFICATION_REQUIRED", registration_enabled);
        let health_check_enabled = reader.flag("HEALTH_CHECK_ENABLED", true);
        let cors_origins = reader.list("CORS_ORIGINS");
        for origin in &cors_origins {
            // An origin as a browser sends it: scheme, host, port, and nothing else.
            if !Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin) {
                reader.problem(
                    "CORS_ORIGINS",
                    format!("{origin:?} is not an origin such as https://app.example.com (lower case, no path)"),
                );
            }
        }
        let allowed_hosts = reader.list("ALLOWED_HOSTS");
        for host in &allowed_hosts {
            if host.contains(['/', '*', '@']) {
                reader.problem("ALLOWED_HOSTS", format!("{host:?} is not a host name such as auth.example.com"));
            }
        }
        let audience = reader.text("AUDIENCE");
        let resources = reader.list("RESOURCES");
        for resource in &resources {
            if Resource::parse(resource).is_none() {
                reader.problem("RESOURCES", format!("{resource:?} is not an absolute URI without a fragment"));
            }
        }
        let memory = reader.number("ARGON2_MEMORY_KIB", 19 * 1024, 8 * 1024, 1024 * 1024);
        let iterations = reader.number("ARGON2_ITERATIONS", 2, 1, 100);
        let parallelism = reader.number("ARGON2_PARALLELISM", 1, 1, 16);
        let password_cost = PasswordCost::new(memory, iterations, parallelism).unwrap_or_default();
        let issuer = issuer?;
        Some(Self {
            environment,
            debug,
            root: root?,
            refresh: refresh?,
            algorithm,
            access_token_lifetime,
            refresh_token_lifetime,
            grant_lifetime,
            refresh_retry_window,
            authorization_code_lifetime,
            session_lifetime,
            signing_key_lifetime,
            oauth_enabled,
            pkce_required,
            require_user_consent,
            registration_enabled,
            email_verification_required,
            health_check_enabled,
            cors_origins,
            allowed_hosts,
            audience: audience.unwrap_or_else(|| issuer.as_str().to_owned()),
            resources,
            cache_ttl,
            rate_limit: rate_limit_enabled.then_some(rate_limit),
            audit_retention,
            password_cost,
            demo: false,
            issuer,
        })
    }

    fn read_issuer(reader: &mut Reader<'_>, production: bool) -> Option<Issuer> {
        let Some(text) = reader.text("ISSUER_URL") else {
            reader.problem("ISSUER_URL", "it is not set; it is the URL that clients reach this server by");
            return None;
        };
        let Some(issuer) = Issuer::parse(&text) else {
            reader.problem(
                "ISSUER_URL",
                format!("{text:?} is not a URL such as https://auth.example.com (no query, no trailing slash)"),
            );
            return None;
        };
        if production && !issuer.is_https() && !issuer.is_loopback() {
            reader.problem("ISSUER_URL", "production needs https");
        }
        Some(issuer)
    }

    /// Whether tokens can be asked for this resource.
    pub fn is_known_resource(&self, resource: &str) -> bool {
        self.audience == resource || self.resources.iter().any(|known| known == resource)
    }

    /// Whether a request may carry this `Host` (with or without a port).
    pub fn is_allowed_host(&self, host: &str) -> bool {
        let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let name = name.map_or(host, |(name, _)| name);
        let is = |allowed: &str| allowed.eq_ignore_ascii_case(name) || allowed.eq_ignore_ascii_case(host);
        if is(self.issuer.host()) || self.allowed_hosts.iter().any(|allowed| is(allowed)) {
            return true;
        }
        self.allowed_hosts.is_empty()
            && self.environment == Environment::Development
            && ["127.0.0.1", "localhost", "[::1]"].into_iter().any(is)
    }
}

struct AlgorithmName(Algorithm);

impl fmt::Display for AlgorithmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

#[cfg(test)]
impl Config {
    /// What is set is the least that can be, for unit tests.
    pub(crate) fn least() -> Self {
        let lookup = |name: &str| {
            tests::GOOD.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        };
        Self::read(&mut Reader::new(&lookup)).expect("it is valid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
        let lookup =
            |name: &str| variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned());
        let mut reader = Reader::new(&lookup);
        let config = Config::read(&mut reader);
        reader.finish(config).map(|(config, _)| config)
    }

    pub(super) const GOOD: [(&str, &str); 3] = [
        ("ISSUER_URL", "https://auth.test"),
        ("JWT_SECRET_KEY", "0123456789abcdef0123456789abcdef"),
        ("JWT_REFRESH_SECRET_KEY", "fedcba9876543210fedcba9876543210"),
    ];

    fn names(problems: &[Problem]) -> Vec<&str> {
        problems.iter().map(|problem| problem.variable).collect()
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let problems = read(&[
            ("ISSUER_URL", "https://auth.test/"),
            ("JWT_SECRET_KEY", "short"),
            ("JWT_ALGORITHM", "none"),
            ("PKCE_REQUIRED", "maybe"),
            ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
            ("CORS_ORIGINS", "https://app.test/,https://ok.test"),
        ])
        .expect_err("many mistakes");
        assert_eq!(
            names(&problems),
            [
                "ISSUER_URL",
                "JWT_SECRET_KEY",
                "JWT_REFRESH_SECRET_KEY",
                "JWT_ALGORITHM",
                "ACCESS_TOKEN_EXPIRE_MINUTES",
                "PKCE_REQUIRED",
                "CORS_ORIGINS"
            ]
        );
        assert!(!format!("{problems:?}").contains("short"));
    }

    #[test]
    fn production_refuses_what_is_unsafe() {
        let with = |extra: &[(&'static str, &'static str)]| {
            let mut variables = vec![("ENVIRONMENT", "production")];
            variables.extend(extra);
            variables.extend(GOOD);
            read(&variables)
        };
        assert!(with(&[]).is_ok());
        for (variable, value) in [
            ("ISSUER_URL", "http://auth.test"),
            ("DEBUG", "true"),
            ("JWT_SECRET_KEY", "your_jwt_secret_key_32_chars_min"),
            ("JWT_SECRET_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            ("JWT_REFRESH_SECRET_KEY", GOOD[1].1),
        ] {
            assert_eq!(names(&with(&[(variable, value)]).expect_err("unsafe")), [variable], "{value}");
        }
    }

    #[test]
    fn hosts() {
        let mut config = read(&GOOD).expect("valid");
        for (host, expected) in
            [("auth.test", true), ("AUTH.test:8000", true), ("localhost:1", true), ("evil.test", false)]
        {
            assert_eq!(config.is_allowed_host(host), expected, "{host}");
        }
        config.allowed_hosts = vec!["api.test".to_owned()];
        assert!(config.is_allowed_host("api.test") && !config.is_allowed_host("localhost"));
    }
}
