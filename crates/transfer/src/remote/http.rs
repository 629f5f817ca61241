//! Acts: HTTP clients, one for each server and policy.
//!
//! Trust comes from the system's certificates (or, where there are none, from those of Mozilla that are built in) and from
//! directories laid out as docker's `certs.d`: `<host[:port]>/*.crt` are further authorities, `*.cert` with `*.key` is who we are.

use super::config::RegistriesConfig;
use super::pinned::Pinned;
use naru_errdefs::{Fault, Kind, ResultExt};
use reqwest::Client;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

const CONNECT: Duration = Duration::from_secs(15);
/// Connections that wait for the next request.
const IDLE: usize = 8;
const IDLE_FOR: Duration = Duration::from_secs(20);

/// Clients by host, made when first needed.
#[derive(Debug, Default)]
pub(super) struct Clients {
    roots: OnceLock<Arc<RootCertStore>>,
    made: Mutex<BTreeMap<(String, bool), (Stamp, Client)>>,
}

/// When files of a host's certificates last changed.
type Stamp = Vec<SystemTime>;

impl Clients {
    /// The client for a server.
    pub(super) fn get(
        &self,
        config: &RegistriesConfig,
        host: &str,
        insecure: bool,
    ) -> Result<Client, Fault> {
        let key = (host.to_owned(), insecure);
        // Certificates that are put there or changed count from the next request on.
        let stamp = stamp(&config.certificates, host);
        if let Some((known, client)) =
            self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
            && *known == stamp
        {
            return Ok(client.clone());
        }
        let client = self.make(config, host, insecure)?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert(key, (stamp, client.clone()));
        Ok(client)
    }

    /// Lets go of clients and their connections; those in use go on.
    pub(super) fn forget(&self) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn make(&self, config: &RegistriesConfig, host: &str, insecure: bool) -> Result<Client, Fault> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Fault::internal("cannot set up TLS").with_source(error))?;
        let files = Files::find(&config.certificates, host)?;
        let builder = if insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer { provider }))
        } else {
            let system = Arc::clone(self.roots.get_or_init(|| Arc::new(system_roots())));
            let mut roots = (*system).clone();
            for certificate in &files.authorities {
                roots.add(certificate.clone()).map_err(|error| {
                    Fault::invalid(format!(
                        "a certificate for the registry `{host}` is no authority"
                    ))
                    .with_source(error)
                })?;
            }
            if files.authorities.is_empty() {
                builder.with_root_certificates(roots)
            } else {
                let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| Fault::internal("cannot set up TLS").with_source(error))?;
                let verifier = Pinned { usual, certificates: files.authorities };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let tls = match files.identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| {
                Fault::invalid(format!(
                    "the client certificate for the registry `{host}` cannot be used"
                ))
                .with_source(error)
            })?,
            None => builder.with_no_client_auth(),
        };
        Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("naru/", env!("CARGO_PKG_VERSION")))
            // Redirects are followed by us: credentials must not go along.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(IDLE)
            .pool_idle_timeout(IDLE_FOR)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| {
                Fault::new(Kind::Internal, format!("cannot set up a client for `{host}`"))
                    .with_source(error)
            })
    }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a certificate of the system cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// When the directories of a host, and the files in them, last changed; nothing where there are none.
fn stamp(directories: &[PathBuf], host: &str) -> Stamp {
    let mut stamp = Vec::new();
    for directory in directories {
        let directory = directory.join(host);
        let changed = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
        stamp.extend(changed(&directory));
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            stamp.extend(changed(&entry.path()));
        }
    }
    stamp
}

/// What `certs.d` has for a host.
#[derive(Default)]
struct Files {
    authorities: Vec<CertificateDer<'static>>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Files {
    fn find(directories: &[PathBuf], host: &str) -> Result<Files, Fault> {
        let mut files = Files::default();
        for directory in directories {
            let directory = directory.join(host);
            let entries = match std::fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(Fault::io(
                        format!("cannot read certificates in `{}`", directory.display()),
                        error,
                    ));
                }
            };
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                match path.extension().and_then(|extension| extension.to_str()) {
                    Some("crt") => files.authorities.extend(certificates(&path)?),
                    Some("cert") => {
                        let key = path.with_extension("key");
                        let bytes = std::fs::read(&key).during(|| {
                            format!("cannot read the key of the certificate `{}`", path.display())
                        })?;
                        let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
                            Fault::invalid(format!("`{}` holds no private key", key.display()))
                                .with_source(error)
                        })?;
                        files.identity = Some((certificates(&path)?, key));
                    }
                    _ => {}
                }
            }
        }
        Ok(files)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let bytes = std::fs::read(path)
        .during(|| format!("cannot read the certificate `{}`", path.display()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Fault::invalid(format!("`{}` holds no certificate", path.display()))),
        Err(error) => {
            Err(Fault::invalid(format!("`{}` holds no certificate", path.display()))
                .with_source(error))
        }
    }
}

/// Takes any server for the right one; only for registries that are configured as insecure.
#[derive(Debug)]
struct AnyServer {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
