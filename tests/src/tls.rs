//! TLS with a certificate authority of the tests' own.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, rustls};

/// What `localhost` shows, and the authority that vouches for it, as PEM.
pub fn localhost() -> (TlsAcceptor, String) {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let certificate = parameters.signed_by(&key, &issuer).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key belongs to the certificate");
    (TlsAcceptor::from(Arc::new(config)), pem)
}

/// TLS in front of a server that has none.
pub struct Front {
    port: u16,
    authority: String,
    listener: Option<TcpListener>,
    acceptor: TlsAcceptor,
    task: Option<JoinHandle<()>>,
}

impl Front {
    /// Takes a port, so that its address is known before the server starts.
    pub async fn open() -> Self {
        let (acceptor, authority) = localhost();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        Self { port, authority, listener: Some(listener), acceptor, task: None }
    }

    /// `https://localhost:<port>`
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The authority that vouches for it, as PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Passes connections on to this port.
    pub fn serve(&mut self, port: u16) {
        let (listener, acceptor) = (self.listener.take().expect("it does not serve yet"), self.acceptor.clone());
        self.task = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                // What a client does to a connection is its own affair.
                tokio::spawn(async move {
                    let mut inside = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
                    let mut stream = acceptor.accept(stream).await.ok()?;
                    copy_bidirectional(&mut stream, &mut inside).await.ok()
                });
            }
        }));
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
