//! A mail server on loopback (RFC 5321), with TLS from a certificate authority of its own, that keeps what it is given
//! and fails where it is told to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64ct::{Base64, Encoding as _};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use crate::tls::localhost;

/// The account that it lets in.
pub const USERNAME: &str = "authly";
/// Its password.
pub const PASSWORD: &str = "the mail server's password";

/// For how long a mail may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// After `STARTTLS`, without which it takes no mail.
    StartTls,
    /// With the first byte.
    Tls,
}

/// What goes wrong with the next mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The recipient is answered with this line.
    Recipient(&'static str),
    /// The mail is read, and never answered.
    Silence,
    /// The mail is read, and the connection closed without an answer.
    Close,
}

/// A mail that was taken, or at least read.
#[derive(Clone, Debug)]
pub struct Received {
    /// Who logged in for it.
    pub user: Option<String>,
    /// Whether it came over TLS.
    pub is_encrypted: bool,
    /// The recipient.
    pub recipient: String,
    /// Headers and body as sent, without the transparency dots.
    pub data: String,
    /// Whether the sender was told that it was taken.
    pub is_accepted: bool,
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    troubles: VecDeque<Trouble>,
    connections: usize,
    credentials_seen: usize,
}

/// A running mail server.
pub struct MailServer {
    port: u16,
    authority: String,
    state: Arc<Mutex<State>>,
    acceptor: TlsAcceptor,
    encryption: Encryption,
    task: Option<JoinHandle<()>>,
}

struct Session {
    state: Arc<Mutex<State>>,
    user: Option<String>,
    is_encrypted: bool,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MailServer {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(encryption: Encryption) -> Self {
        let (acceptor, authority) = localhost();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let mut server = Self { port, authority, state: Arc::default(), acceptor, encryption, task: None };
        server.listen(listener);
        server
    }

    fn listen(&mut self, listener: TcpListener) {
        let (state, acceptor, encryption) = (Arc::clone(&self.state), self.acceptor.clone(), self.encryption);
        self.task = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                lock(&state).connections += 1;
                let session = Session { state: Arc::clone(&state), user: None, is_encrypted: false };
                // What a client does to a connection is its own affair.
                tokio::spawn(session.run(stream, acceptor.clone(), encryption));
            }
        }));
    }

    /// The variables of a server that sends its mail here.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let tls = match self.encryption {
            Encryption::StartTls => "starttls",
            Encryption::Tls => "tls",
        };
        vec![
            ("SMTP_HOST", "localhost".to_owned()),
            ("SMTP_PORT", self.port.to_string()),
            ("SMTP_TLS", tls.to_owned()),
            ("SMTP_CA", self.authority.clone()),
            ("SMTP_USERNAME", USERNAME.to_owned()),
            ("SMTP_PASSWORD", PASSWORD.to_owned()),
            ("SMTP_FROM_EMAIL", "Authly <no-reply@auth.example>".to_owned()),
        ]
    }

    /// The next mails go wrong in these ways.
    pub fn expect_trouble(&self, troubles: &[Trouble]) {
        lock(&self.state).troubles.extend(troubles);
    }

    /// Stops listening.
    pub async fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Listens again.
    pub async fn resume(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.expect("the port is free again");
        self.listen(listener);
    }

    /// Everything that was read so far.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }

    /// How often somebody connected.
    pub fn connections(&self) -> usize {
        lock(&self.state).connections
    }

    /// How often somebody sent a password.
    pub fn credentials_seen(&self) -> usize {
        lock(&self.state).credentials_seen
    }

    /// Waits until `is_done`.
    pub async fn wait(&self, what: &str, is_done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_done(self) {
            assert!(Instant::now() < deadline, "{what} does not happen; received so far: {:#?}", self.received());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for that many mails that were accepted.
    pub async fn accepted(&self, count: usize) -> Vec<Received> {
        let accepted =
            |server: &Self| server.received().into_iter().filter(|mail| mail.is_accepted).collect::<Vec<_>>();
        self.wait(&format!("mail number {count}"), |server| accepted(server).len() >= count).await;
        accepted(self)
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Session {
    async fn run(mut self, stream: TcpStream, acceptor: TlsAcceptor, encryption: Encryption) -> Option<()> {
        let stream = match encryption {
            Encryption::Tls => stream,
            Encryption::StartTls => {
                let mut stream = BufReader::new(stream);
                greet(&mut stream).await?;
                self.talk(&mut stream, true).await?;
                stream.into_inner()
            }
        };
        let mut stream = BufReader::new(acceptor.accept(stream).await.ok()?);
        self.is_encrypted = true;
        if encryption == Encryption::Tls {
            greet(&mut stream).await?;
        }
        self.talk(&mut stream, false).await
    }

    /// Answers commands; `Some` after `STARTTLS`, where that is offered.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufReader<S>,
        offers_tls: bool,
    ) -> Option<()> {
        let mut recipient = String::new();
        loop {
            let line = read_line(stream).await?;
            let upper = line.to_ascii_uppercase();
            if upper.starts_with("EHLO") {
                let extension = if offers_tls { "STARTTLS" } else { "AUTH PLAIN LOGIN" };
                say(stream, &format!("250-mail.test\r\n250 {extension}")).await?;
            } else if upper == "STARTTLS" && offers_tls {
                say(stream, "220 go ahead").await?;
                return Some(());
            } else if upper == "QUIT" {
                say(stream, "221 bye").await?;
                return None;
            } else if let Some(encoded) = line.strip_prefix("AUTH PLAIN ") {
                lock(&self.state).credentials_seen += 1;
                let decoded = Base64::decode_vec(encoded).ok()?;
                if decoded == format!("\0{USERNAME}\0{PASSWORD}").into_bytes() {
                    self.user = Some(USERNAME.to_owned());
                    say(stream, "235 2.7.0 welcome").await?;
                } else {
                    say(stream, "535 5.7.8 wrong").await?;
                }
            } else if offers_tls || self.user.is_none() {
                say(stream, "530 5.7.0 first STARTTLS and AUTH").await?;
            } else if upper.starts_with("MAIL FROM:") {
                say(stream, "250 2.1.0 well").await?;
            } else if upper.starts_with("RCPT TO:") {
                recipient = line["RCPT TO:".len()..].trim_matches(['<', '>', ' ']).to_owned();
                let trouble = match lock(&self.state).troubles.front() {
                    Some(Trouble::Recipient(reply)) => Some(*reply),
                    _ => None,
                };
                if trouble.is_some() {
                    lock(&self.state).troubles.pop_front();
                }
                say(stream, trouble.unwrap_or("250 2.1.5 well")).await?;
            } else if upper == "DATA" {
                say(stream, "354 go on").await?;
                self.take_mail(stream, &recipient).await?;
            } else if upper == "RSET" || upper == "NOOP" {
                say(stream, "250 well").await?;
            } else {
                say(stream, "502 5.5.1 what?").await?;
            }
        }
    }

    async fn take_mail<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
        recipient: &str,
    ) -> Option<()> {
        let mut data = String::new();
        loop {
            let line = read_line(stream).await?;
            if line == "." {
                break;
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push('\n');
        }
        let trouble = lock(&self.state).troubles.pop_front();
        lock(&self.state).received.push(Received {
            user: self.user.clone(),
            is_encrypted: self.is_encrypted,
            recipient: recipient.to_owned(),
            data,
            is_accepted: trouble.is_none(),
        });
        match trouble {
            None => say(stream, "250 2.0.0 taken").await,
            Some(Trouble::Silence) => std::future::pending().await,
            Some(Trouble::Close | Trouble::Recipient(_)) => None,
        }
    }
}

async fn greet(stream: &mut (impl AsyncWrite + Unpin)) -> Option<()> {
    say(stream, "220 mail.test ESMTP").await
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), line: &str) -> Option<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut line = String::new();
    let length = stream.read_line(&mut line).await.ok()?;
    (length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}
