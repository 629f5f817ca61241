//! TLS of the registry's listener. Acts: certificates from files or made by ourselves, read again when they change.
//!
//! Nothing watches the files: at most once a second, and only when somebody connects, it is looked whether they changed. So at rest
//! nothing runs, and a certificate that was renewed is used from the next connection on. Certificates of our own are renewed the
//! same way, a month before they end.

mod issue;

pub use issue::{CA_FILE, Issued};

use super::der::common_name;
use naru_errdefs::{Fault, ResultExt, one_line};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::server::WebPkiClientVerifier;
use serde::Deserialize;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often files are looked at, at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Largest file of certificates or keys, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// The section `tls` of the registry's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The server's certificate, then those of its issuers (PEM).
    pub cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    pub key: Option<PathBuf>,
    /// Host names and addresses that a certificate is made for, by an authority of the registry's own.
    pub auto: Vec<String>,
    /// The authorities whose client certificates are taken (PEM); their common name is the user.
    pub client_ca: Option<PathBuf>,
    /// Whether clients may come without a certificate too, and log in otherwise.
    pub client_cert_optional: bool,
}

impl TlsConfig {
    /// Whether TLS is asked for; contradictions are refused.
    pub fn validate(&self) -> Result<bool, Fault> {
        match (&self.cert, &self.key) {
            (Some(_), None) => {
                return Err(Fault::invalid("a TLS certificate is given, but not its private key")
                    .with_hint("give the key too: `--tls-key`, `tls.key`"));
            }
            (None, Some(_)) => {
                return Err(Fault::invalid("a TLS private key is given, but not its certificate")
                    .with_hint("give the certificate too: `--tls-cert`, `tls.cert`"));
            }
            _ => {}
        }
        if self.cert.is_some() && !self.auto.is_empty() {
            return Err(Fault::invalid("a TLS certificate is given, and another is to be made")
                .with_hint("leave out `--tls-auto` (`tls.auto`), or certificate and key"));
        }
        for name in &self.auto {
            issue::check_name(name)?;
        }
        let asked = self.cert.is_some() || !self.auto.is_empty();
        if self.client_ca.is_some() && !asked {
            return Err(Fault::invalid("client certificates are asked for, but there is no TLS")
                .with_hint("give `--tls-cert` and `--tls-key`, or `--tls-auto NAMES`"));
        }
        if self.client_cert_optional && self.client_ca.is_none() {
            return Err(Fault::invalid(
                "`tls.client-cert-optional` says nothing without `tls.client-ca`",
            ));
        }
        Ok(asked)
    }
}

/// Shakes hands with clients. A cheap clone.
#[derive(Debug, Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: TlsConfig,
    directory: PathBuf,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    server: Arc<ServerConfig>,
    seen: Vec<Option<(u64, i64, i64)>>,
    looked: Instant,
}

impl Tls {
    /// Reads or makes what is needed; it must be right at the start. `directory` is the registry's own. Waits for the disk.
    pub fn open(config: &TlsConfig, directory: &Path) -> Result<Tls, Fault> {
        config.validate()?;
        // The second one to install it finds it there.
        rustls::crypto::ring::default_provider().install_default().ok();
        let directory = directory.join("tls");
        let seen = stamps(config, &directory);
        let server = load(config, &directory)?;
        let looked = Instant::now();
        let current = Mutex::new(Current { server, seen, looked });
        Ok(Tls { inner: Arc::new(Inner { config: config.clone(), directory, current }) })
    }

    /// Where the authority's certificate is, which clients must trust; none when the server's certificate was given.
    pub fn authority(&self) -> Option<PathBuf> {
        (!self.inner.config.auto.is_empty()).then(|| self.inner.directory.join(CA_FILE))
    }

    /// Whether clients may be known by their certificates.
    pub fn takes_certificates(&self) -> bool {
        self.inner.config.client_ca.is_some()
    }

    /// Shakes hands, within a bound of time.
    pub async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.current().await);
        tokio::time::timeout(HANDSHAKE, acceptor.accept(stream))
            .await
            .map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn current(&self) -> Arc<ServerConfig> {
        {
            let mut current = self.held();
            if current.looked.elapsed() < LOOK_AGAIN {
                return Arc::clone(&current.server);
            }
            current.looked = Instant::now();
        }
        let this = self.clone();
        // Whoever was lost looking changed nothing.
        tokio::task::spawn_blocking(move || this.look()).await.ok();
        Arc::clone(&self.held().server)
    }

    fn look(&self) {
        let Inner { config, directory, .. } = &*self.inner;
        let seen = stamps(config, directory);
        let due = !config.auto.is_empty() && issue::is_due(directory, &config.auto);
        if self.held().seen == seen && !due {
            return;
        }
        let loaded = load(config, directory);
        let seen = stamps(config, directory);
        let mut current = self.held();
        current.seen = seen;
        match loaded {
            Ok(server) => {
                tracing::info!("TLS certificates read again");
                current.server = server;
            }
            Err(fault) => {
                tracing::error!(error = one_line(&fault), "the TLS certificates stay as they were");
            }
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Current> {
        self.inner.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The user that a client's certificate names; the certificate was verified when hands were shaken.
pub fn certificate_user<S>(stream: &TlsStream<S>) -> Option<Arc<str>> {
    let (_stream, connection) = stream.get_ref();
    common_name(connection.peer_certificates()?.first()?).map(Arc::from)
}

fn files(config: &TlsConfig, directory: &Path) -> Vec<PathBuf> {
    let own = !config.auto.is_empty();
    let own = own.then(|| issue::files(directory)).into_iter().flatten();
    own.chain([&config.cert, &config.key, &config.client_ca].into_iter().flatten().cloned())
        .collect()
}

fn stamps(config: &TlsConfig, directory: &Path) -> Vec<Option<(u64, i64, i64)>> {
    let stamp = |path: PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
    };
    files(config, directory).into_iter().map(stamp).collect()
}

fn load(config: &TlsConfig, directory: &Path) -> Result<Arc<ServerConfig>, Fault> {
    let (chain, key) = match (&config.cert, &config.key) {
        (Some(cert), Some(key)) => (certificates(cert)?, private_key(key)?),
        _ => {
            let issued = issue::issue(directory, &config.auto)?;
            (certificates(&issued.cert)?, private_key(&issued.key)?)
        }
    };
    let builder = ServerConfig::builder();
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let during = |why: String| {
                Fault::invalid(format!(
                    "cannot use the client authorities `{}`: {why}",
                    path.display()
                ))
            };
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| during(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
            let verifier = match config.client_cert_optional {
                true => verifier.allow_unauthenticated(),
                false => verifier,
            };
            builder.with_client_cert_verifier(
                verifier.build().map_err(|error| during(error.to_string()))?,
            )
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| {
        Fault::invalid(format!("TLS certificate and private key do not go together: {error}"))
            .with_hint("the file of the certificate begins with the server's own")
    })?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}

fn pem(path: &Path) -> Result<Vec<u8>, Fault> {
    let during = || format!("cannot read `{}`", path.display());
    if std::fs::metadata(path).during(during)?.len() > LARGEST {
        return Err(Fault::invalid(format!("`{}` is too large for a PEM file", path.display())));
    }
    std::fs::read(path).during(during)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let bytes = pem(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(Fault::invalid(format!("`{}` has no certificate in PEM form", path.display()))),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    PrivateKeyDer::from_pem_slice(&pem(path)?).map_err(|_other| {
        Fault::invalid(format!("`{}` has no private key in PEM form", path.display()))
            .with_hint("a key that is protected by a passphrase cannot be used")
    })
}

#[cfg(test)]
mod tests;
