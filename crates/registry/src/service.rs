//! The service: one request in, one answer out. Acts.

use crate::access::{Denied, Gate, Identity, Need, Peer};
use crate::answer::{self, Answer};
use crate::body::Counting;
use crate::cache::{Cache, Place};
use crate::documents::Documents;
use crate::problem::{Code, Problem};
use crate::query::Query;
use crate::route::{Astray, Route};
use crate::upkeep::{Relied, seconds_now};
use crate::watch::{Claim, Done, GONE, News, Quota, Watch};
use crate::{blobs, cached, lists, manifests, uploads};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use naru_oci::Digest;
use naru_store::{Content, Repositories, Store};
use serde_json::json;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longer than any operation of the registry's own takes; a lease ends with the operation.
pub(crate) const LEASE: Duration = Duration::from_secs(3600);
const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// The distribution service over a store. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    pub(crate) service: Arc<Service>,
}

pub(crate) struct Service {
    pub(crate) store: Store,
    pub(crate) content: Content,
    pub(crate) repositories: Repositories,
    pub(crate) documents: Arc<Documents>,
    gate: Gate,
    cache: Option<Cache>,
    watches: Vec<Arc<dyn Watch>>,
    quota: Option<Arc<dyn Quota>>,
    pub(crate) relied: Option<Arc<Relied>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("gate", &self.service.gate).finish_non_exhaustive()
    }
}

/// A request, taken apart.
pub(crate) struct Call {
    pub(crate) parts: Parts,
    pub(crate) body: Body,
    pub(crate) query: Query,
    pub(crate) identity: Identity,
}

impl Call {
    pub(crate) fn is_head(&self) -> bool {
        self.parts.method == Method::HEAD
    }

    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }
}

impl Registry {
    /// The service over a store, which others may use at the same time.
    pub fn new(store: &Store, gate: Gate) -> Registry {
        Registry {
            service: Arc::new(Service {
                store: store.clone(),
                content: store.content.clone(),
                repositories: store.repositories.clone(),
                documents: Arc::new(Documents::new(store.content.clone())),
                gate,
                cache: None,
                watches: Vec::new(),
                quota: None,
                relied: None,
            }),
        }
    }

    /// The same with somebody who is told of every answer. Before it is cloned.
    pub fn watched(mut self, watch: Arc<dyn Watch>) -> Registry {
        if let Some(service) = Arc::get_mut(&mut self.service) {
            service.watches.push(watch);
        }
        self
    }

    /// The same with repositories that are those of other registries. Before it is cloned.
    pub fn caching(mut self, cache: Cache) -> Registry {
        if let Some(service) = Arc::get_mut(&mut self.service) {
            service.cache = Some(cache);
        }
        self
    }

    /// The same with bounds on what repositories hold. Before it is cloned.
    pub fn bounded(mut self, quota: Arc<dyn Quota>) -> Registry {
        if let Some(service) = Arc::get_mut(&mut self.service) {
            service.quota = Some(quota);
        }
        self
    }

    /// The same with an upkeep that has to know what clients were told is there. Before it is cloned.
    pub fn kept(mut self, relied: Arc<Relied>) -> Registry {
        if let Some(service) = Arc::get_mut(&mut self.service) {
            service.relied = Some(relied);
        }
        self
    }

    /// Lets go of memory that is only there for speed.
    pub fn rest(&self) {
        self.service.documents.forget();
    }

    /// The service as a router: it takes every path, since names of repositories contain slashes.
    pub fn router(&self) -> axum::Router {
        let registry = self.clone();
        axum::Router::new().fallback(move |request: Request| {
            let registry = registry.clone();
            async move { registry.answer(request).await }
        })
    }

    /// Answers a request. Who is at the other end is in its extensions ([`Peer`]).
    pub async fn answer(&self, request: Request) -> Response {
        let begun = Instant::now();
        let (parts, body) = request.into_parts();
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let peer = parts.extensions.get::<Peer>().cloned().unwrap_or_else(|| Peer::plain(unknown));
        let head = parts.method == Method::HEAD;
        let received = Arc::default();
        let body = Body::new(Counting::new(body, &received));
        let mut route = Route::parse(parts.uri.path());
        let mut elsewhere = None;
        let place = self.service.cache.as_ref().and_then(|cache| {
            let route = route.as_ref().ok()?;
            let name = route.repository()?;
            let query = Query::parse(parts.uri.query());
            let namespace = query.get("ns");
            let found = cache.place(namespace, name).or_else(|| {
                let other = cache.other(namespace)?;
                if is_read(route, &parts.method) {
                    // What lies here by this name may be anybody's; clients pass over a mirror that has no such thing.
                    elsewhere = Some(absent(other, name));
                    return None;
                }
                // A namespace is no way around what is said of a name here.
                cache.place(None, name)
            });
            Some((cache, found?))
        });
        if let Some((_, place)) = &place {
            // Rights, rows and records are those of the repository's name here.
            route = route.map(|route| route.moved(&place.repository));
        }
        let needs = route.as_ref().map(|route| route.needs(&parts.method)).unwrap_or_default();
        let mut told = Told {
            watches: &self.service.watches,
            begun,
            received,
            done: Done {
                operation: operation(route.as_ref().ok(), &parts.method),
                user: None,
                is_login: false,
                peer: peer.address,
                action: needs.first().map(|need| need.action),
                repository: route.as_ref().ok().and_then(Route::repository).map(str::to_owned),
                reference: route.as_ref().ok().and_then(Route::reference),
                digest: None,
                status: StatusCode::from_u16(GONE).unwrap_or(StatusCode::REQUEST_TIMEOUT),
                received: 0,
                sent: 0,
                took: Duration::ZERO,
            },
        };
        let outcome = match (&route, elsewhere) {
            (Ok(_), Some(problem)) => Err(Box::new(problem)),
            (Ok(route), None) => {
                let request = Request::from_parts(parts, body);
                self.service.run(route, place, request, (&peer, &needs), &mut told.done).await
            }
            (Err(astray), _) => Err(Box::new(lost(astray))),
        };
        let mut response = match outcome {
            Ok(response) => response,
            Err(problem) => answer::problem(&problem, head),
        };
        response.headers_mut().insert(VERSION, HeaderValue::from_static("registry/2.0"));
        let header = |name| response.headers().get(name)?.to_str().ok();
        told.done.digest = header("docker-content-digest").and_then(|text| text.parse().ok());
        told.done.status = response.status();
        if !head {
            let length = header("content-length").and_then(|text| text.parse().ok());
            told.done.sent = length.unwrap_or(0);
        }
        response
    }
}

/// A request that the watches are told of at its end, whichever that is: the connection of a client that goes away is dropped with
/// everything that waits, and what was begun for it is done nevertheless.
struct Told<'a> {
    watches: &'a [Arc<dyn Watch>],
    begun: Instant,
    /// Counts on while the body comes.
    received: Arc<AtomicU64>,
    done: Done,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.done.took = self.begun.elapsed();
        self.done.received = self.received.load(Ordering::Relaxed);
        for watch in self.watches {
            watch.done(&self.done);
        }
    }
}

/// What is boxed is large and rare.
pub(crate) type Outcome = Result<Response<Body>, Box<Problem>>;

impl Service {
    /// Whether a client may be told that something is in a repository, so that it need not be sent again: the sweep's grace begins
    /// anew.
    pub(crate) fn is_there(&self, repository: &str, digest: &Digest) -> bool {
        let look = || self.repositories.is_member(repository, digest);
        match &self.relied {
            Some(relied) => relied.tell(repository, digest, seconds_now(), look),
            None => look(),
        }
    }

    /// Claims of the quota that a repository takes something in, in place of what the claim holds already.
    pub(crate) fn claim(&self, name: &str, news: &News, claim: &mut Claim) -> Result<(), Problem> {
        let Some(quota) = &self.quota else { return Ok(()) };
        quota.claim(name, news, claim).map_err(|why| Problem::new(Code::Denied, why))
    }

    async fn run(
        &self,
        route: &Route,
        place: Option<(&Cache, Place)>,
        request: Request,
        (peer, needs): (&Peer, &[Need]),
        done: &mut Done,
    ) -> Outcome {
        let (parts, body) = request.into_parts();
        let methods = route.methods();
        if !methods.contains(&parts.method) {
            let allowed: Vec<&str> = methods.iter().map(Method::as_str).collect();
            let text = format!("{} cannot be used here", parts.method);
            return Err(Box::new(
                Problem::new(Code::Unsupported, text).with_header("allow", allowed.join(", ")),
            ));
        }
        let identity = match self.gate.admit(&parts, peer, needs).await {
            Ok(identity) => identity,
            Err(denied) => {
                done.is_login = denied.is_login();
                done.user = denied.user();
                return Err(Box::new(refused(&denied, needs)));
            }
        };
        done.user.clone_from(&identity.user);
        let query = Query::parse(parts.uri.query());
        let mut call = Call { parts, body, query, identity };
        if let Some((cache, place)) = place
            && let Some(outcome) = cached::answer(self, (cache, &place), route, &mut call).await
        {
            return outcome;
        }
        match (route, call.parts.method.clone()) {
            (Route::Base, _) => Ok(Answer::json(&json!({}), call.is_head()).done()),
            (Route::Catalog, _) => lists::catalog(self, &call),
            (Route::Tags { name }, _) => lists::tags(self, name, &call),
            (Route::Referrers { name, digest }, _) => {
                lists::referrers(self, name, digest, &mut call).await
            }
            (Route::Manifest { name, reference }, Method::PUT) => {
                manifests::put(self, name, reference, call).await
            }
            (Route::Manifest { name, reference }, Method::DELETE) => {
                manifests::delete(self, name, reference).await
            }
            (Route::Manifest { name, reference }, _) => {
                manifests::get(self, name, reference, &call)
            }
            (Route::Blob { name, digest }, Method::DELETE) => {
                blobs::delete(self, name, digest).await
            }
            (Route::Blob { name, digest }, _) => blobs::get(self, name, digest, &call),
            (Route::Uploads { name }, _) => uploads::begin(self, name, call).await,
            (Route::Upload { name, id }, Method::PATCH) => {
                uploads::piece(self, name, id, call).await
            }
            (Route::Upload { name, id }, Method::PUT) => {
                uploads::finish(self, name, id, call).await
            }
            (Route::Upload { name, id }, Method::DELETE) => uploads::cancel(self, name, id).await,
            (Route::Upload { name, id }, _) => uploads::status(self, name, id),
        }
    }
}

/// Whether a request is for content or lists.
fn is_read(route: &Route, method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && !matches!(route, Route::Upload { .. })
}

/// A repository of another registry that is not cached.
fn absent(registry: &str, name: &str) -> Problem {
    let registry: String = registry.chars().take(260).collect();
    let text = format!(
        "`{name}` of `{registry}` is not cached here; ask `{registry}` itself, or list it in `cache.upstreams`, or in `cache.names` if that is this registry"
    );
    Problem::new(Code::NameUnknown, text).with_detail(json!({ "name": name }))
}

fn lost(astray: &Astray) -> Problem {
    match astray {
        Astray::Unknown => Problem::new(Code::Unsupported, "there is nothing at this path")
            .with_status(StatusCode::NOT_FOUND),
        Astray::Name(name) => Problem::new(Code::NameInvalid, "invalid repository name")
            .with_detail(json!({ "name": name })),
        Astray::Digest(digest) => {
            Problem::new(Code::DigestInvalid, "invalid digest, or of an unknown algorithm")
                .with_detail(json!({ "digest": digest }))
        }
    }
}

pub(crate) fn refused(denied: &Denied, needs: &[Need]) -> Problem {
    let detail: Vec<serde_json::Value> = needs
        .iter()
        .map(|need| json!({ "name": need.repository, "action": format!("{:?}", need.action).to_lowercase() }))
        .collect();
    match denied {
        Denied::Unauthorized { challenge } => {
            Problem::new(Code::Unauthorized, "authentication required")
                .with_detail(json!(detail))
                .with_header("www-authenticate", challenge.clone())
        }
        Denied::Forbidden { .. } => {
            Problem::new(Code::Denied, "requested access to the resource is denied")
                .with_detail(json!(detail))
        }
        Denied::Throttled { retry_after } => {
            Problem::new(Code::TooManyRequests, "too many failed attempts to log in")
                .with_header("retry-after", retry_after.to_string())
        }
    }
}

/// What figures call an operation; nothing of it comes from the client.
fn operation(route: Option<&Route>, method: &Method) -> &'static str {
    match (route, method) {
        (None, _) => "unknown",
        (Some(Route::Base), _) => "base",
        (Some(Route::Catalog), _) => "catalog",
        (Some(Route::Tags { .. }), _) => "tags.list",
        (Some(Route::Referrers { .. }), _) => "referrers.list",
        (Some(Route::Manifest { .. }), &Method::PUT) => "manifest.put",
        (Some(Route::Manifest { .. }), &Method::DELETE) => "manifest.delete",
        (Some(Route::Manifest { .. }), &Method::HEAD) => "manifest.head",
        (Some(Route::Manifest { .. }), _) => "manifest.get",
        (Some(Route::Blob { .. }), &Method::DELETE) => "blob.delete",
        (Some(Route::Blob { .. }), &Method::HEAD) => "blob.head",
        (Some(Route::Blob { .. }), _) => "blob.get",
        (Some(Route::Uploads { .. }), _) => "upload.begin",
        (Some(Route::Upload { .. }), &Method::PATCH) => "upload.piece",
        (Some(Route::Upload { .. }), &Method::PUT) => "upload.finish",
        (Some(Route::Upload { .. }), &Method::DELETE) => "upload.cancel",
        (Some(Route::Upload { .. }), _) => "upload.status",
    }
}

/// Work that waits for the disk, on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Box<Problem>> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Box::new),
        Err(error) => {
            tracing::error!(%error, "the work of a request ended early");
            Err(Box::new(Problem::new(Code::Unknown, "the registry failed; its log says why")))
        }
    }
}
