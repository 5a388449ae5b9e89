//! A TCP proxy in front of a database, to take it away and give it back.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// They are passed on.
    Up,
    /// They are closed, and new ones refused: nobody listens.
    Down,
    /// They stand still, and new ones are accepted and never served: a machine that hangs, or a network that drops.
    Silent,
}

/// A proxy on a loopback port of its own.
pub struct Proxy {
    port: u16,
    link: Arc<watch::Sender<Link>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Passes connections on to this address.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let link = Arc::new(watch::Sender::new(Link::Up));
        let task = tokio::spawn(run(listener, port, upstream, link.subscribe()));
        Self { port, link, task }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(first: TcpListener, port: u16, upstream: String, mut link: watch::Receiver<Link>) {
    let mut listener = Some(first);
    // Dropping the set drops its connections.
    let mut connections = JoinSet::new();
    loop {
        let state = *link.borrow_and_update();
        if state == Link::Down {
            listener = None;
            connections.shutdown().await;
            if link.changed().await.is_err() {
                return;
            }
            continue;
        }
        if listener.is_none() {
            match TcpListener::bind(("127.0.0.1", port)).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            }
        }
        let Some(listening) = &listener else { continue };
        tokio::select! {
            changed = link.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            accepted = listening.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(pass_on(stream, upstream.clone(), link.clone()));
                }
            }
        }
    }
}

async fn pass_on(near: TcpStream, upstream: String, mut link: watch::Receiver<Link>) {
    if link.wait_for(|link| *link == Link::Up).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(upstream).await else { return };
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = pump(near_read, far_write, link.clone()) => {}
        () = pump(far_read, near_write, link) => {}
    }
}

/// What was read while the link is silent waits, and is not lost.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut link: watch::Receiver<Link>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if link.wait_for(|link| *link == Link::Up).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
