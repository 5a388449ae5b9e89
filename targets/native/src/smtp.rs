//! Outgoing mail by SMTP (RFC 5321), with TLS (RFC 3207, RFC 8314) unless the server is this machine.

use std::{fmt, net::IpAddr, time::Duration};

use authly_core::{
    config::{Config, Environment, Reader},
    model::Secret,
    ports::{Mail, MailError, Mailer},
};
use chrono::TimeDelta;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};

use crate::config::NativeConfig;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// It begins in clear text and must switch.
    StartTls,
    /// From the first byte.
    Tls,
    /// Not at all.
    None,
}

impl fmt::Display for SmtpTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::None => "none",
        })
    }
}

/// The mail server that takes our mail.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// `SMTP_HOST`.
    pub host: String,
    /// `SMTP_PORT`.
    pub port: u16,
    /// `SMTP_USERNAME` and `SMTP_PASSWORD`.
    pub credentials: Option<(String, Secret)>,
    /// `SMTP_FROM_EMAIL`.
    pub from: Mailbox,
    /// `SMTP_TLS`.
    pub tls: SmtpTls,
    /// `SMTP_CA`: certificates (PEM) of an authority of one's own, besides Mozilla's.
    pub authority: Option<String>,
}

impl SmtpConfig {
    /// Reads its variables. Problems stay in the reader.
    pub(crate) fn read(reader: &mut Reader<'_>, environment: Environment) -> Option<Self> {
        let host = reader.text("SMTP_HOST");
        let tls = reader.parsed("SMTP_TLS", SmtpTls::StartTls, "starttls, tls or none", |text| match text {
            "starttls" => Some(SmtpTls::StartTls),
            "tls" => Some(SmtpTls::Tls),
            "none" => Some(SmtpTls::None),
            _ => None,
        });
        let port = reader.number("SMTP_PORT", if tls == SmtpTls::Tls { 465 } else { 587 }, 1, 65535);
        let username = reader.text("SMTP_USERNAME");
        let password = reader.secret("SMTP_PASSWORD");
        let from = reader.text("SMTP_FROM_EMAIL");
        let authority = reader.secret("SMTP_CA");
        let host = host?;
        let is_loopback = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        if tls == SmtpTls::None && !is_loopback && environment == Environment::Production {
            reader.problem(
                "SMTP_TLS",
                "without TLS, links that let somebody in (and SMTP_PASSWORD) could be read on the way: production \
                 allows none for a mail server on this machine only; use starttls or tls",
            );
        }
        let credentials = match (username, password) {
            (Some(username), Some(password)) => Some((username, Secret::new(password))),
            (Some(_), None) => {
                reader.problem("SMTP_PASSWORD", "it is not set, but SMTP_USERNAME is");
                None
            }
            (None, Some(_)) => {
                reader.problem("SMTP_USERNAME", "it is not set, but SMTP_PASSWORD is");
                None
            }
            (None, None) => None,
        };
        if let Some(authority) = &authority
            && Certificate::from_pem(authority.as_bytes()).is_err()
        {
            reader.problem("SMTP_CA", "it is not a certificate in PEM form; SMTP_CA_FILE names a file with one");
        }
        let Some(from) = from else {
            reader.problem("SMTP_FROM_EMAIL", "it is not set, but SMTP_HOST is");
            return None;
        };
        let Ok(from) = from.parse() else {
            reader
                .problem("SMTP_FROM_EMAIL", "it must look like no-reply@example.com or Example <no-reply@example.com>");
            return None;
        };
        let port = u16::try_from(port).unwrap_or(587);
        Some(Self { host, port, credentials, from, tls, authority })
    }
}

/// Hands mail to a mail server.
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl SmtpMailer {
    /// A connection is made for each mail: they are few.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(config: &SmtpConfig) -> Result<Self, smtp::Error> {
        let parameters = || {
            let mut parameters = TlsParameters::builder(config.host.clone());
            if let Some(authority) = &config.authority {
                parameters = parameters.add_root_certificate(Certificate::from_pem(authority.as_bytes())?);
            }
            parameters.build_rustls()
        };
        let tls = match config.tls {
            SmtpTls::StartTls => Tls::Required(parameters()?),
            SmtpTls::Tls => Tls::Wrapper(parameters()?),
            SmtpTls::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .tls(tls)
            .hello_name(ClientId::Domain(config.from.email.domain().to_owned()))
            .timeout(Some(Duration::from_secs(10)));
        if let Some((username, password)) = &config.credentials {
            let password = String::from_utf8_lossy(password.expose()).into_owned();
            builder = builder.credentials(Credentials::new(username.clone(), password));
        }
        Ok(Self { transport: builder.build(), from: config.from.clone() })
    }

    fn message(&self, mail: &Mail) -> Result<Message, MailError> {
        let refused = |error: &dyn fmt::Display| MailError::Refused(error.to_string());
        let to: Address = mail.recipient.parse().map_err(|error| refused(&error))?;
        let generated = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject.clone())
            .date(mail.written_at.into())
            .message_id(Some(format!("<{}@{}>", mail.id, self.from.email.domain())))
            // RFC 3834: nobody's holiday answers to it.
            .raw_header(HeaderValue::new(generated, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(String::from_utf8_lossy(mail.body.expose()).into_owned())
            .map_err(|error| refused(&error))
    }
}

/// What a failure says of this mail and of the others.
fn failure(error: &smtp::Error) -> MailError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    // RFC 4954 §6: the server does not let us in. RFC 5321 §3.8: it closes.
    let closed = error.status().is_some_and(|code| matches!(u16::from(code), 421 | 530 | 534 | 535 | 538));
    if closed {
        MailError::Unavailable(text)
    } else if error.is_permanent() {
        MailError::Refused(text)
    } else if error.is_transient() {
        MailError::Deferred(text)
    } else {
        MailError::Unavailable(text)
    }
}

impl Mailer for SmtpMailer {
    const TIMEOUT: TimeDelta = TimeDelta::seconds(30);

    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.message(mail)?;
        let limit = Self::TIMEOUT.to_std().unwrap_or(Duration::from_secs(30));
        match tokio::time::timeout(limit, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(MailError::Unavailable("the mail server does not answer in time".to_owned())),
        }
    }
}

/// What a native host does with mail.
pub enum NativeMailer {
    /// Sends it.
    Smtp(Box<SmtpMailer>),
    /// Shows it in the log, for a developer.
    Log,
}

impl NativeMailer {
    /// The mailer of this configuration. None in production without `SMTP_HOST`: the mail waits for a host that has
    /// one.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(config: &NativeConfig) -> Result<Option<Self>, smtp::Error> {
        match Self::smtp(config)? {
            None if config.core.environment == Environment::Development => Ok(Some(Self::Log)),
            mailer => Ok(mailer),
        }
    }

    /// The same without showing anything.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn smtp(config: &NativeConfig) -> Result<Option<Self>, smtp::Error> {
        config.smtp.as_ref().map(|smtp| SmtpMailer::new(smtp).map(|mailer| Self::Smtp(Box::new(mailer)))).transpose()
    }

    /// Says where mail waits.
    pub fn warn_if_missing(this: Option<&Self>, core: &Config) {
        if this.is_none() {
            let registration = core.registration_enabled;
            tracing::warn!(registration, "SMTP_HOST is not set: mail waits for an instance that can send it");
        }
    }
}

impl Mailer for NativeMailer {
    const TIMEOUT: TimeDelta = SmtpMailer::TIMEOUT;

    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        match self {
            Self::Smtp(mailer) => mailer.send(mail).await,
            Self::Log => {
                let body = String::from_utf8_lossy(mail.body.expose());
                tracing::info!(
                    target: "authly::mail",
                    "SMTP_HOST is not set; in development, this is the mail to {}: {}\n\n{body}",
                    mail.recipient,
                    mail.subject
                );
                Err(MailError::Refused("SMTP_HOST is not set: the mail was shown in the log instead".to_owned()))
            }
        }
    }
}
