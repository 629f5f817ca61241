//! Everything about a request that is not the protocol's: certificates, who is let in, tokens, figures, health, the audit. Acts.
//!
//! ```text
//! connection ─▶ TLS ─▶ peer ─▶ request ─▶ /token, /healthz, /metrics, /admin/...: answered here
//!                                       └▶ /v2/...: the protocol, which asks the gate ─▶ done: figures, audit line
//! ```

mod admin;
mod connections;
mod names;
mod noted;
mod patient;
mod sent;
mod straight;

pub use connections::{ServeOptions, serve, serve_figures};
pub(crate) use straight::Mappings;

use crate::access::audit::{Audit, Entry};
use crate::access::tls::Tls;
use crate::access::{Action, Gate, Peer, TOKEN_PATH};
use crate::config::RegistryConfig;
use crate::metrics::{Metrics, Seen};
use crate::upkeep::{Keeper, Uploads};
use crate::{Done, Watch};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use names::Names;
use naru_errdefs::{Fault, Kind, one_line};
use naru_store::Store;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore};

/// The directory below the store's root that is the registry's own.
const DIRECTORY: &str = "registry";
/// What is written and removed to find out whether the disk can be written.
const PROBE: &str = ".writable";
/// How long what was found out holds: however many ask, the disk is not kept busy with it.
const PROBE_HOLDS: Duration = Duration::from_secs(1);

/// What stands around the protocol. A cheap clone.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Who is let in.
    pub gate: Gate,
    /// Certificates; none: plain HTTP.
    pub tls: Option<Tls>,
    /// Figures.
    pub metrics: Arc<Metrics>,
    audit: Option<Audit>,
    serves_metrics: bool,
    names: Names,
    store: Store,
    directory: PathBuf,
    keeper: Option<Arc<Keeper>>,
    /// Whoever asks for a collection waits in here.
    waiting: Arc<Semaphore>,
    /// When the disk was last tried, and whether that was well. Whoever tries it holds this.
    probed: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl Edge {
    /// What a configuration says, over the store that the registry serves. Keys and certificates lie below the store's root. Waits
    /// for the disk.
    pub fn open(config: &RegistryConfig, store: Store) -> Result<Edge, Fault> {
        config.validate()?;
        let directory = store.root().join(DIRECTORY);
        std::fs::create_dir_all(&directory)
            .map_err(|error| Fault::io(format!("cannot make `{}`", directory.display()), error))?;
        let tls = match config.tls.validate()? {
            true => Some(Tls::open(&config.tls, &directory)?),
            false => None,
        };
        let certificates = tls.as_ref().is_some_and(Tls::takes_certificates);
        Ok(Edge {
            gate: Gate::open(&config.auth, &directory, certificates)?,
            tls,
            metrics: Arc::new(Metrics::default()),
            audit: config.audit.as_ref().map(Audit::open).transpose()?,
            serves_metrics: config.metrics.enabled,
            names: Names::of(config),
            store,
            directory,
            keeper: None,
            waiting: Arc::new(Semaphore::new(admin::MOST_WAITING)),
            probed: Arc::default(),
        })
    }

    /// The same with an upkeep that can be asked for, and counted. Before it is cloned.
    #[must_use]
    pub fn kept(self, keeper: Arc<Keeper>) -> Edge {
        Edge { keeper: Some(keeper), ..self }
    }

    /// Whether a path is answered here and not by the protocol.
    pub fn is_own(&self, path: &str) -> bool {
        match path {
            TOKEN_PATH | "/healthz" => true,
            "/metrics" => self.serves_metrics,
            _ => false,
        }
    }

    /// Answers a path of its own. A body is at most [`crate::access::LARGEST_TOKEN_BODY`] long.
    pub async fn answer(&self, parts: &Parts, body: &[u8], peer: &Peer) -> Response<Bytes> {
        let path = parts.uri.path();
        if path == TOKEN_PATH {
            return self.gate.token(parts, body, peer).await;
        }
        if parts.method != Method::GET && parts.method != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new());
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/metrics" => self.figures(parts, peer.tls).await,
            _ => self.health().await,
        }
    }

    /// Why a request is refused that asks by a name that may be anybody's: that of a web page which was made to lead here, say. Over
    /// TLS the client has seen from the certificate that the name is ours.
    fn refusal_of(&self, parts: &Parts, is_tls: bool) -> Option<String> {
        let name = if is_tls { None } else { self.names.stranger(parts) }?;
        let name: String = name.chars().take(260).collect();
        Some(format!(
            "`{name}` is no name of this registry that it knows of; ask by its address, or list the name in `names` of its configuration"
        ))
    }

    /// The figures, for Prometheus.
    pub(crate) async fn figures(&self, parts: &Parts, is_tls: bool) -> Response<Bytes> {
        if let Some(why) = self.refusal_of(parts, is_tls) {
            return text(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", why + "\n");
        }
        let (store, keeper) = (self.store.clone(), self.keeper.clone());
        let look = move || Seen {
            // A directory that cannot be read is the health's business.
            uploads: Uploads::of(&store).unwrap_or_default(),
            collections: store.collections(),
            kept: keeper.as_ref().map(|keeper| keeper.kept()).unwrap_or_default(),
            cache: keeper
                .as_ref()
                .and_then(|keeper| keeper.cache())
                .map(|cache| (cache.figures(), cache.kept())),
        };
        let seen = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        let shown = self.metrics.text(&seen);
        text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", shown)
    }

    /// Whether the store answers and the disk can be written. What is wrong is for the log: whoever asks may be anybody.
    pub(crate) async fn health(&self) -> Response<Bytes> {
        let patience = Duration::from_secs(5);
        let probed = match tokio::time::timeout(patience, self.probe()).await {
            Ok(probed) => probed,
            Err(_late) => Err(Fault::new(Kind::Unavailable, "the disk does not answer")),
        };
        match probed {
            Ok(true) => text(StatusCode::OK, "application/json", "{\"status\":\"ok\"}".to_owned()),
            Ok(false) => failing(),
            Err(fault) => {
                tracing::error!(error = one_line(&fault), "not healthy");
                failing()
            }
        }
    }

    /// Whether the store answers and the disk can be written, as somebody found out just now: a failure once, and then that it was one.
    async fn probe(&self) -> Result<bool, Fault> {
        // Held by the work and not by whoever waits for it: on a disk that hangs, one thread does and no more.
        let mut last = Arc::clone(&self.probed).lock_owned().await;
        if let Some((at, well)) = *last
            && at.elapsed() < PROBE_HOLDS
        {
            return Ok(well);
        }
        let (store, directory) = (self.store.clone(), self.directory.clone());
        let probe = tokio::task::spawn_blocking(move || {
            let done = try_disk(&store, &directory);
            *last = Some((Instant::now(), done.is_ok()));
            done
        });
        let done = probe.await;
        done.map_err(|lost| Fault::internal("the check was lost").with_source(lost))?.map(|()| true)
    }
}

fn try_disk(store: &Store, directory: &Path) -> Result<(), Fault> {
    // Any name will do: what counts is that the rows can be read.
    store.repositories.tag("healthz", "healthz")?;
    let probe = directory.join(PROBE);
    naru_kernel::fs::write_replace(&probe, b"ok", 0o600)
        .and_then(|()| match std::fs::remove_file(&probe) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        })
        .map_err(|error| Fault::io(format!("cannot write `{}`", probe.display()), error))
}

fn failing() -> Response<Bytes> {
    let body = "{\"status\":\"failing\"}".to_owned();
    text(StatusCode::SERVICE_UNAVAILABLE, "application/json", body)
}

impl Edge {
    /// Notes in the audit what came through the daemon that this registry is in.
    pub fn note(&self, action: Action, repository: &str, reference: &str, status: u16) {
        if let Some(audit) = &self.audit {
            let action = action.as_str();
            audit.record(Entry {
                user: None,
                peer: None,
                action,
                repository,
                reference,
                status,
                bytes: 0,
            });
        }
    }
}

/// Counts a request of the protocol, and notes it in the audit.
impl Watch for Edge {
    fn done(&self, done: &Done) {
        let status = done.status.as_u16();
        self.metrics.answered(done.operation, status, done.took);
        self.metrics.received(done.received);
        let Some(audit) = &self.audit else { return };
        let action = match done.action {
            _ if done.is_login => "login",
            Some(action) => action.as_str(),
            None => return,
        };
        let digest = done.digest.as_ref().map(ToString::to_string);
        audit.record(Entry {
            user: done.user.as_deref(),
            peer: Some(done.peer),
            action,
            repository: done.repository.as_deref().unwrap_or_default(),
            reference: done.reference.as_deref().or(digest.as_deref()).unwrap_or_default(),
            status,
            bytes: done.received.max(done.sent),
        });
    }
}

fn text(status: StatusCode, kind: &'static str, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
