//! Acts: the one place that sends requests to registries: who we are, redirects, attempts, and bounds on time.

use super::challenge::{self, Challenge};
use super::config::{Credentials, RegistriesConfig};
use super::endpoint::{Endpoint, Scheme, endpoints, is_insecure};
use super::http::Clients;
use super::limit::Limiter;
use super::tokens::{Issuer, Tokens, basic};
use super::transport::{collect_body, transport_fault};
use super::{Registries, refusal, retry};
use crate::own::OwnRegistry;
use crate::turns::{Turn, Turns};
use bytes::Bytes;
use naru_errdefs::{Fault, Kind};
use naru_oci::Digest;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, Url};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// How often one request may be sent elsewhere.
const MOST_REDIRECTS: usize = 10;
/// What is tried when nothing is configured; docker's number.
const ATTEMPTS: u32 = 5;

/// Bounds on waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For the head of an answer.
    pub(crate) headers: Duration,
    /// For the next bytes of a body.
    pub(crate) stall: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { headers: Duration::from_secs(60), stall: Duration::from_secs(60) }
    }
}

/// How a server wants to know who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Manner {
    Basic,
    Bearer(Issuer),
}

/// What is shared by everything that speaks to registries.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: RegistriesConfig,
    pub(super) clients: Clients,
    pub(super) tokens: Tokens,
    pub(super) patience: Patience,
    /// For all transfers together, also of registries with other settings.
    pub(super) limiter: Option<Arc<Limiter>>,
    /// What servers asked for, by origin.
    manners: Mutex<BTreeMap<String, Manner>>,
    /// What insecure servers speak.
    schemes: Mutex<BTreeMap<String, Scheme>>,
    /// The embedded registry, once there is one.
    pub(crate) own: OnceLock<Arc<dyn OwnRegistry>>,
    /// Blobs that somebody fetches.
    fetching: Turns<Digest>,
}

impl Shared {
    pub(super) fn new(config: RegistriesConfig, patience: Patience) -> Shared {
        Shared {
            limiter: config.limit_rate.map(|rate| Arc::new(Limiter::new(rate))),
            config,
            clients: Clients::default(),
            tokens: Tokens::default(),
            patience,
            manners: Mutex::default(),
            schemes: Mutex::default(),
            own: OnceLock::new(),
            fetching: Turns::default(),
        }
    }

    /// Pays for bytes where another pays.
    pub(super) fn share_limit(&mut self, other: &Shared) {
        self.limiter.clone_from(&other.limiter);
    }

    pub(crate) fn attempts(&self) -> u32 {
        if self.config.attempts == 0 { ATTEMPTS } else { self.config.attempts }
    }

    /// The pause before the next attempt.
    pub(crate) async fn pause(&self, failed: u32, asked: Option<Duration>) {
        let chance = naru_kernel::random::bytes::<1>().map_or(255, |[byte]| byte);
        tokio::time::sleep(asked.unwrap_or_default().max(retry::back_off(failed, chance))).await;
    }

    /// The turn to fetch a blob: who holds it fetches, others wait and then look whether it is there.
    pub(crate) fn turn(&self, digest: &Digest) -> Arc<Turn> {
        self.fetching.of(*digest)
    }
}

/// What is sent along.
pub(crate) enum Payload {
    /// Nothing.
    None,
    /// Bytes that can be sent again.
    Bytes(Bytes),
    /// A stream that can be sent once; the caller begins again, if at all.
    Once(Mutex<Option<reqwest::Body>>),
}

/// One request.
pub(crate) struct Call<'a> {
    /// What is attempted, for messages (`fetch the manifest`).
    pub(crate) attempt: &'a str,
    pub(crate) method: Method,
    /// A path and query (`/v2/...`), or a whole URL.
    pub(crate) target: &'a str,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) payload: Payload,
    /// What has to be allowed: `pull`, `pull,push`, with the repository; empty for none.
    pub(crate) scopes: BTreeSet<String>,
    /// How often it may be tried; at least once.
    pub(crate) attempts: u32,
    /// Whether to go where an answer sends us.
    pub(crate) follow: bool,
}

impl<'a> Call<'a> {
    /// Asks for what every registry has, and goes nowhere else.
    pub(super) fn of_base(attempt: &'a str, attempts: u32) -> Call<'a> {
        Call {
            attempt,
            method: Method::GET,
            target: "/v2/",
            headers: Vec::new(),
            payload: Payload::None,
            scopes: BTreeSet::new(),
            attempts,
            follow: false,
        }
    }
}

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// Where it came from, after redirects.
    pub(crate) url: Url,
    /// Who answered, for messages.
    pub(crate) host: String,
    /// Whether the server that was asked answered itself.
    at_home: bool,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The refusal that this answer is.
    pub(crate) async fn refuse(self, attempt: &str, patience: Patience) -> Fault {
        let status = self.status();
        let pause = asked_pause(self.response.headers());
        let limits = self
            .header("ratelimit-limit")
            .zip(self.header("ratelimit-remaining"))
            .filter(|_| status == 429)
            .and_then(|(limit, remaining)| refusal::limits(limit, remaining));
        let body = collect_body(self.response, refusal::BODY_LIMIT, patience.stall, &self.host)
            .await
            .unwrap_or_default();
        refusal::fault_with((attempt, &self.host), status, &body, (pause, limits))
    }
}

/// A repository of a registry, as somebody known or unknown.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(super) shared: Arc<Shared>,
    /// As in references (`docker.io`).
    pub(super) registry: String,
    pub(super) name: String,
    pub(super) who: Credentials,
    /// The bound of this transfer alone.
    pub(super) limiter: Option<Arc<Limiter>>,
    /// Whether mirrors may answer.
    mirrors: bool,
}

impl Repository {
    /// A repository of a registry, both as in references (`docker.io`, `library/debian`).
    pub fn new(
        registries: &Registries,
        registry: &str,
        name: &str,
        who: &Credentials,
    ) -> Repository {
        Repository {
            shared: Arc::clone(&registries.shared),
            registry: registry.to_owned(),
            name: name.to_owned(),
            who: who.clone(),
            limiter: None,
            mirrors: true,
        }
    }

    /// The same without its mirrors, after one of them gave what is wrong.
    pub(crate) fn without_mirrors(&self) -> Repository {
        Repository { mirrors: false, ..self.clone() }
    }

    /// The same with a bound on bytes a second for what is read.
    pub fn limited(mut self, rate: Option<u64>) -> Repository {
        self.limiter = rate.map(|rate| Arc::new(Limiter::new(rate)));
        self
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The registry, as in references.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn patience(&self) -> Patience {
        self.shared.patience
    }

    /// The scope of an action in this repository.
    pub(crate) fn scope(&self, actions: &str) -> BTreeSet<String> {
        BTreeSet::from([format!("repository:{}:{actions}", self.name)])
    }

    /// The servers to be asked in turn; only the registry itself is ever written to.
    pub(crate) fn endpoints(&self, with_mirrors: bool) -> Result<Vec<Endpoint>, Fault> {
        endpoints(&self.shared.config, &self.registry, with_mirrors && self.mirrors)
    }

    /// Sends a request to a server. Mirrors are never told who we are to the registry itself.
    pub(crate) async fn send(&self, endpoint: &Endpoint, call: &Call<'_>) -> Result<Answer, Fault> {
        let anonymous = Credentials::Anonymous;
        let who = if endpoint.is_mirror { &anonymous } else { &self.who };
        self.shared.send(endpoint, who, call).await
    }
}

impl Shared {
    /// Sends a request: finds out the scheme, says who we are when asked, follows redirects, tries again where that can help.
    pub(super) async fn send(
        &self,
        endpoint: &Endpoint,
        who: &Credentials,
        call: &Call<'_>,
    ) -> Result<Answer, Fault> {
        let known = endpoint.scheme.or_else(|| {
            self.schemes.lock().unwrap_or_else(PoisonError::into_inner).get(&endpoint.host).copied()
        });
        if let Some(scheme) = known {
            return self.send_by(scheme, endpoint, who, call).await;
        }
        // Nobody knows yet what it speaks: TLS first, as docker does, and only once.
        let probe = Call::of_base(call.attempt, 1);
        let scheme = match self.once(Scheme::Https, endpoint, None, &probe).await {
            Ok(_) => Scheme::Https,
            Err(first) => match self.once(Scheme::Http, endpoint, None, &probe).await {
                Ok(_) => Scheme::Http,
                Err(second) => {
                    tracing::debug!(host = %endpoint.host, %first, "does not speak TLS");
                    return Err(second);
                }
            },
        };
        self.schemes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(endpoint.host.clone(), scheme);
        self.send_by(scheme, endpoint, who, call).await
    }

    async fn send_by(
        &self,
        scheme: Scheme,
        endpoint: &Endpoint,
        who: &Credentials,
        call: &Call<'_>,
    ) -> Result<Answer, Fault> {
        let origin = format!("{}://{}", scheme.as_str(), endpoint.host);
        let mut failed = 0;
        // Tokens that were made for this very call: another refusal is final.
        let mut fresh = false;
        let mut scopes = call.scopes.clone();
        loop {
            let authorization = self
                .authorization(&origin, (scheme, &endpoint.host), who, &scopes, &mut fresh)
                .await?;
            let answer = self.once(scheme, endpoint, authorization.as_deref(), call).await;
            let (fault, asked) = match answer {
                Ok(answer) if answer.status() == 401 => {
                    // A registry may want other scopes than it should; they are asked for once.
                    let more = more_scopes(&answer, &scopes).filter(|_| scopes == call.scopes);
                    let again = answer.at_home && (!fresh || more.is_some());
                    if !again
                        || !self.learn(&origin, who, &scopes, (&answer, authorization.as_deref()))
                    {
                        return Ok(answer);
                    }
                    if let Payload::Once(_) = call.payload {
                        return Ok(answer);
                    }
                    // What is known now is used once; a token from before was forgotten.
                    fresh = matches!(self.manner(&origin), Some(Manner::Basic));
                    if let Some(more) = more.filter(|_| authorization.is_some()) {
                        scopes = more;
                    }
                    continue;
                }
                Ok(answer) if retry::is_passing(answer.status()) => {
                    let asked = asked_pause(answer.response.headers());
                    if failed + 1 >= call.attempts.max(1)
                        || matches!(call.payload, Payload::Once(_))
                    {
                        return Ok(answer);
                    }
                    (answer.refuse(call.attempt, self.patience).await, asked)
                }
                Ok(answer) => {
                    tell_rate_limit(&answer);
                    return Ok(answer);
                }
                Err(fault) => (fault, None),
            };
            failed += 1;
            if failed >= call.attempts.max(1)
                || fault.kind() != Kind::Unavailable && fault.kind() != Kind::ResourceExhausted
                || matches!(call.payload, Payload::Once(_))
            {
                return Err(fault);
            }
            tracing::debug!(error = %naru_errdefs::one_line(&fault), failed, "asking again");
            self.pause(failed, asked).await;
        }
    }

    /// Where a server's tokens come from, when it has asked for one.
    pub(super) fn issuer(&self, endpoint: &Endpoint) -> Option<Issuer> {
        let origin = format!("{}://{}", self.scheme(endpoint).as_str(), endpoint.host);
        match self.manner(&origin)? {
            Manner::Bearer(issuer) => Some(issuer),
            Manner::Basic => None,
        }
    }

    /// What a server that was spoken to speaks.
    pub(super) fn scheme(&self, endpoint: &Endpoint) -> Scheme {
        let known = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        endpoint.scheme.or_else(|| known.get(&endpoint.host).copied()).unwrap_or(Scheme::Https)
    }

    fn manner(&self, origin: &str) -> Option<Manner> {
        self.manners.lock().unwrap_or_else(PoisonError::into_inner).get(origin).cloned()
    }

    /// What to say of ourselves, by what the server asked for before.
    async fn authorization(
        &self,
        origin: &str,
        registry: (Scheme, &str),
        who: &Credentials,
        scopes: &BTreeSet<String>,
        fresh: &mut bool,
    ) -> Result<Option<String>, Fault> {
        if let Credentials::RegistryToken(token) = who {
            return Ok(Some(format!("Bearer {token}")));
        }
        match self.manner(origin) {
            None => Ok(None),
            Some(Manner::Basic) => Ok(match who {
                Credentials::Basic { user, password } => Some(basic(user, password)),
                _ => None,
            }),
            Some(Manner::Bearer(issuer)) => {
                let (token, new) = self.token(&issuer, scopes, who, registry).await?;
                *fresh |= new;
                Ok(Some(format!("Bearer {}", token.text)))
            }
        }
    }

    /// Takes up what a 401 asks for. Whether asking again can help.
    fn learn(
        &self,
        origin: &str,
        who: &Credentials,
        scopes: &BTreeSet<String>,
        (answer, refused): (&Answer, Option<&str>),
    ) -> bool {
        let challenges = challenges(answer);
        let bearer = challenges.iter().find(|one| one.scheme == "bearer").and_then(|one| {
            Some(Manner::Bearer(Issuer {
                realm: one.parameter("realm")?.to_owned(),
                service: one.parameter("service").map(str::to_owned),
            }))
        });
        let basic = challenges.iter().any(|one| one.scheme == "basic").then_some(Manner::Basic);
        let Some(manner) = bearer.or(basic) else { return false };
        let can_help = match &manner {
            Manner::Basic => matches!(who, Credentials::Basic { .. }),
            Manner::Bearer(issuer) => {
                self.tokens.forget(issuer, scopes, who, refused);
                !matches!(who, Credentials::RegistryToken(_))
            }
        };
        self.manners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(origin.to_owned(), manner);
        can_help
    }

    /// One attempt, with redirects.
    async fn once(
        &self,
        scheme: Scheme,
        endpoint: &Endpoint,
        authorization: Option<&str>,
        call: &Call<'_>,
    ) -> Result<Answer, Fault> {
        let invalid = |error: url::ParseError| {
            Fault::invalid(format!(
                "cannot {} at `{}`: no valid address",
                call.attempt, endpoint.host
            ))
            .with_source(error)
        };
        let first: Url = if call.target.starts_with('/') {
            format!("{}://{}{}", scheme.as_str(), endpoint.host, call.target)
                .parse()
                .map_err(invalid)?
        } else {
            call.target.parse().map_err(invalid)?
        };
        let home: Url =
            format!("{}://{}/", scheme.as_str(), endpoint.host).parse().map_err(invalid)?;
        let mut url = first;
        for _ in 0..=MOST_REDIRECTS {
            let at_home = url.origin() == home.origin();
            let host = host_of(&url);
            if !matches!(url.scheme(), "http" | "https") {
                return Err(Fault::new(
                    Kind::Unavailable,
                    format!("`{}` sends us to `{url}`, which is no web address", endpoint.host),
                ));
            }
            if url.scheme() == "http"
                && scheme == Scheme::Https
                && !is_insecure(&self.config, &host)
            {
                return Err(Fault::new(
                    Kind::Forbidden,
                    format!("`{}` sends us from TLS to `{host}` in the clear", endpoint.host),
                )
                .with_hint(format!(
                    "add `{host}` to `insecure-registries` if it is to be trusted so"
                )));
            }
            let insecure =
                if at_home { endpoint.insecure } else { is_insecure(&self.config, &host) };
            let client = self.clients.get(&self.config, &host, insecure)?;
            let mut headers = HeaderMap::new();
            for (name, value) in &call.headers {
                if let Ok(value) = HeaderValue::from_str(value) {
                    headers.insert(name, value);
                }
            }
            // Whoever a registry sends us to must not learn who we are there.
            if let Some(text) = authorization.filter(|_| at_home)
                && let Ok(mut value) = HeaderValue::from_str(text)
            {
                value.set_sensitive(true);
                headers.insert("authorization", value);
            }
            let mut request = client.request(call.method.clone(), url.clone()).headers(headers);
            let mut bound = Some(self.patience.headers);
            match &call.payload {
                Payload::None => {}
                Payload::Bytes(bytes) => request = request.body(bytes.clone()),
                Payload::Once(body) => {
                    let body = body.lock().unwrap_or_else(PoisonError::into_inner).take();
                    let Some(body) = body else {
                        return Err(Fault::internal("a body was to be sent twice"));
                    };
                    // Its length is not ours to know; whoever feeds it sees to the time.
                    bound = None;
                    request = request.body(body);
                }
            }
            let sent = match bound {
                Some(bound) => match tokio::time::timeout(bound, request.send()).await {
                    Ok(sent) => sent,
                    Err(_) => {
                        return Err(Fault::new(
                            Kind::Unavailable,
                            format!(
                                "cannot {} at `{host}`: no answer within {} s",
                                call.attempt,
                                bound.as_secs()
                            ),
                        ));
                    }
                },
                None => request.send().await,
            };
            let response = sent.map_err(|error| transport_fault(call.attempt, &host, error))?;
            let location = match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 if call.follow => {
                    response.headers().get("location").and_then(|value| value.to_str().ok())
                }
                _ => None,
            };
            let Some(location) = location else {
                return Ok(Answer { response, url, host, at_home });
            };
            url = url.join(location).map_err(|error| {
                Fault::new(Kind::Unavailable, format!("`{host}` sends us to no valid address"))
                    .with_source(error)
            })?;
        }
        Err(Fault::new(
            Kind::Unavailable,
            format!(
                "cannot {} at `{}`: sent elsewhere more than {MOST_REDIRECTS} times",
                call.attempt, endpoint.host
            ),
        ))
    }
}

fn challenges(answer: &Answer) -> Vec<Challenge> {
    let headers = answer.response.headers().get_all("www-authenticate");
    headers.iter().filter_map(|value| value.to_str().ok()).flat_map(challenge::parse).collect()
}

/// The scopes that a refusal wants beyond those that were asked for (RFC 6750, section 3.1: `insufficient_scope`).
fn more_scopes(answer: &Answer, scopes: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    let challenges = challenges(answer);
    let bearer = challenges.iter().find(|one| one.scheme == "bearer")?;
    if scopes.is_empty() || bearer.parameter("error") != Some("insufficient_scope") {
        return None;
    }
    let wanted = bearer.parameter("scope")?.split_whitespace().map(str::to_owned);
    let more: BTreeSet<String> = scopes.iter().cloned().chain(wanted.take(8)).collect();
    (more != *scopes).then_some(more)
}

/// The host and port of a URL, as registries are named.
pub(super) fn host_of(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// What `Retry-After` asks for.
pub(crate) fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    retry::retry_after(headers.get("retry-after")?.to_str().ok()?, now)
}

fn tell_rate_limit(answer: &Answer) {
    if let Some(remaining) = answer.header("ratelimit-remaining") {
        let limit = answer.header("ratelimit-limit").unwrap_or_default();
        tracing::debug!(host = %answer.host, remaining, limit, "rate limit of the registry");
    }
}
