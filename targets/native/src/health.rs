//! `authly health`: asks a server whether it is ready, so that an image needs no other program for its health check.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::{Duration, Instant},
};

use authly_core::{
    config::{Problem, Reader},
    router::Endpoint,
};
use url::Url;

use crate::config::{environment_variable, listen_address, report};

/// Connecting and the whole answer take no longer.
const TIMEOUT: Duration = Duration::from_secs(4);

/// A health check's answer is a line.
const MAX_ANSWER: usize = 16 * 1024;

/// Why a server does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// What was given cannot be asked.
    #[error("{0:?} is no plain http URL such as http://127.0.0.1:8000/health/ready")]
    Url(String),
    /// Nobody listens, or nobody answers in time.
    #[error("{0}: {1}")]
    Unreachable(Url, #[source] io::Error),
    /// What answers does not speak HTTP.
    #[error("{0}: the answer is not HTTP")]
    NotHttp(Url),
    /// It answers, but not with 200.
    #[error("{url}: {status} {body}")]
    Refused {
        /// What was asked.
        url: Url,
        /// The status code.
        status: u16,
        /// The reason, in the server's words.
        body: String,
    },
}

/// Asks `url`, or `/health/ready` of the server that this process's `HOST` and `PORT` describe, and prints the answer.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
pub fn check(url: Option<String>) -> ExitCode {
    let url = match url.map_or_else(own_url, Ok) {
        Ok(url) => url,
        Err(problems) => return report(&problems),
    };
    match ask(&url, TIMEOUT) {
        Ok(body) => {
            println!("{body}");
            ExitCode::SUCCESS
        }
        Err(unhealthy) => {
            eprintln!("authly: {unhealthy}");
            ExitCode::FAILURE
        }
    }
}

/// The rest of the configuration does not matter here, so it is not read.
fn own_url() -> Result<String, Vec<Problem>> {
    let lookup = |name: &str| environment_variable(name).ok().flatten();
    let mut reader = Reader::new(&lookup);
    let address = listen_address(&mut reader);
    if address.port() == 0 {
        reader.problem("PORT", "it is 0, so the server's port is not known here: give the URL");
    }
    let (address, _) = reader.finish(Some(reachable(address)))?;
    Ok(format!("http://{address}{}", Endpoint::Ready.path()))
}

/// Who listens at every address is reached by the machine's own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The body of a 200.
fn ask(text: &str, within: Duration) -> Result<String, Unhealthy> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http" && url.has_host());
    let url = url.ok_or_else(|| Unhealthy::Url(text.to_owned()))?;
    let answer = match exchange(&url, Instant::now() + within) {
        Ok(answer) => String::from_utf8_lossy(&answer).into_owned(),
        Err(error) => return Err(Unhealthy::Unreachable(url, error)),
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    match status {
        Some(200) => Ok(body.to_owned()),
        Some(status) => Err(Unhealthy::Refused { url, status, body: body.to_owned() }),
        None => Err(Unhealthy::NotHttp(url)),
    }
}

/// HTTP/1.0 (RFC 1945), since then the answer ends with the connection and comes in one piece.
fn exchange(url: &Url, deadline: Instant) -> io::Result<Vec<u8>> {
    let remaining = || {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    };
    let mut stream = connect(url, remaining)?;
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    stream.set_write_timeout(Some(remaining()?))?;
    write!(stream, "GET {target} HTTP/1.0\r\nHost: {authority}\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while answer.len() < MAX_ANSWER {
        stream.set_read_timeout(Some(remaining()?))?;
        match stream.read(&mut piece)? {
            0 => break,
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    Ok(answer)
}

/// A name may stand for several addresses, of which one answers.
fn connect(url: &Url, remaining: impl Fn() -> io::Result<Duration>) -> io::Result<TcpStream> {
    let mut failed = io::ErrorKind::NotFound.into();
    for address in url.socket_addrs(|| None)? {
        match TcpStream::connect_timeout(&address, remaining()?) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn every_address_is_asked_at_loopback() {
        let reached = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:8000"), "127.0.0.1:8000");
        assert_eq!(reached("[::]:8000"), "[::1]:8000");
        assert_eq!(reached("192.0.2.7:80"), "192.0.2.7:80");
    }

    #[test]
    fn what_is_no_plain_http_url_is_refused() {
        for text in ["https://localhost/health", "localhost:8000", "health", ""] {
            assert!(matches!(ask(text, TIMEOUT), Err(Unhealthy::Url(_))), "{text}");
        }
    }

    /// Answers one connection like this, a piece every 20 ms, and holds it open where `pieces` never end.
    fn answering(pieces: impl Iterator<Item = &'static str> + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let _ = stream.read(&mut [0; 1024]);
            for piece in pieces {
                if stream.write_all(piece.as_bytes()).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        format!("http://{address}/health/ready")
    }

    #[test]
    fn only_200_is_healthy() {
        let ok = answering(["HTTP/1.0 200 OK\r\nX: 503\r\n", "\r\n", "fine"].into_iter());
        assert_eq!(ask(&ok, TIMEOUT).expect("healthy"), "fine");
        let busy = answering(["HTTP/1.1 503 Service Unavailable\r\n\r\nno database"].into_iter());
        let said = ask(&busy, TIMEOUT).expect_err("not healthy").to_string();
        assert!(said.ends_with("/health/ready: 503 no database"), "{said}");
        for strange in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1\r\n\r\n", ""] {
            assert!(matches!(ask(&answering([strange].into_iter()), TIMEOUT), Err(Unhealthy::NotHttp(_))), "{strange}");
        }
    }

    #[test]
    fn who_answers_drop_by_drop_does_not_hold_the_check_up() {
        let started = Instant::now();
        let slow = answering(std::iter::repeat("x"));
        assert!(matches!(ask(&slow, Duration::from_millis(200)), Err(Unhealthy::Unreachable(..))));
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn where_nobody_listens_nobody_is_healthy() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        drop(listener);
        assert!(matches!(ask(&url, TIMEOUT), Err(Unhealthy::Unreachable(..))));
    }
}
