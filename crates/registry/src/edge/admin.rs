//! What administrators ask for, outside the protocol: how much repositories hold, a collection now, a repository away. Acts.
//!
//! ```text
//! GET    /admin/usage                 right `admin`
//! POST   /admin/gc                    right `admin`   ?dry-run=true&delete-untagged=true&grace=SECONDS
//! DELETE /admin/repositories/<name>   right `delete` of the repository
//! ```
//!
//! Where nobody is kept from anything, the right `admin` is loopback's: whoever reaches the registry from elsewhere could keep it busy.
//! Web pages are refused, wherever their browser is: by what browsers say, and by the name that is asked for, unless somebody logs in
//! (a page whose name was made to lead here has no password of ours).
//! A collection takes its time, so its answer begins at once and says nothing but blank lines until it is over.

use super::Edge;
use crate::access::audit::Entry;
use crate::access::{Action, Need, Peer};
use crate::answer::{self, Answer};
use crate::problem::{Code, Problem};
use crate::query::Query;
use crate::service::{blocking, refused};
use crate::upkeep::{How, Keeper, Usage, remove_repository};
use crate::watch::GONE;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::unfold;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use naru_errdefs::one_line;
use naru_oci::is_repository_name;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Where all of it is.
const PREFIX: &str = "/admin/";
/// Collections that are under way or waited for at once.
pub(super) const MOST_WAITING: usize = 16;
/// How often whoever waits for a collection hears that it goes on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Headers that browsers send, and nobody else.
const FROM_A_PAGE: [&str; 2] = ["origin", "sec-fetch-site"];

/// What was asked for.
enum Asked {
    Usage,
    Collect(How),
    Remove(String),
}

impl Asked {
    /// Pure: what a path means; none when it is none of ours.
    fn of(parts: &Parts) -> Result<Asked, Box<Problem>> {
        let unknown = || {
            let problem = Problem::new(Code::Unsupported, "there is nothing at this path");
            Box::new(problem.with_status(StatusCode::NOT_FOUND))
        };
        let path = parts.uri.path().strip_prefix(PREFIX).ok_or_else(unknown)?;
        let (asked, method) = match path {
            "usage" => (Asked::Usage, Method::GET),
            "gc" => (Asked::Collect(how(&Query::parse(parts.uri.query()))?), Method::POST),
            path => {
                let name = path.strip_prefix("repositories/").ok_or_else(unknown)?;
                if !is_repository_name(name) {
                    return Err(Box::new(Problem::new(
                        Code::NameInvalid,
                        "invalid repository name",
                    )));
                }
                (Asked::Remove(name.to_owned()), Method::DELETE)
            }
        };
        if parts.method != method {
            let text = format!("{} cannot be used here", parts.method);
            let problem = Problem::new(Code::Unsupported, text);
            return Err(Box::new(problem.with_header("allow", method.to_string())));
        }
        Ok(asked)
    }

    fn need(&self) -> Need {
        match self {
            Asked::Usage | Asked::Collect(_) => Need::new("", Action::Admin),
            Asked::Remove(name) => Need::new(name.as_str(), Action::Delete),
        }
    }
}

/// How a collection is asked for. What is not understood is refused: the default would take something else.
fn how(query: &Query) -> Result<How, Box<Problem>> {
    let wrong = |name: &str| {
        let problem = Problem::new(Code::Unsupported, format!("invalid value of `{name}`"));
        Box::new(problem.with_status(StatusCode::BAD_REQUEST))
    };
    let is_on = |name: &str| match query.get(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(wrong(name)),
    };
    let mut how = How {
        dry_run: is_on("dry-run")?,
        delete_untagged: is_on("delete-untagged")?,
        ..How::default()
    };
    if let Some(grace) = query.get("grace") {
        how.grace = Duration::from_secs(grace.parse().map_err(|_not_a_number| wrong("grace"))?);
    }
    Ok(how)
}

impl Edge {
    /// Whether a path is one of these.
    pub(super) fn is_administered(&self, path: &str) -> bool {
        self.keeper.is_some() && path.starts_with(PREFIX)
    }

    /// Answers one of these paths.
    pub(super) async fn administer(&self, parts: &Parts, peer: &Peer) -> Response<Body> {
        let begun = Instant::now();
        let asked = match Asked::of(parts) {
            Ok(asked) => asked,
            Err(problem) => {
                let response = answer::problem(&problem, false);
                self.metrics.answered("admin", response.status().as_u16(), begun.elapsed());
                return response;
            }
        };
        let mut noted = Noted {
            edge: self,
            asked: &asked,
            peer,
            begun,
            user: None,
            is_login: false,
            status: GONE,
        };
        let done = self.admitted(&asked, parts, peer, &mut noted).await;
        let response = done.unwrap_or_else(|problem| answer::problem(&problem, false));
        noted.status = response.status().as_u16();
        response
    }

    async fn admitted(
        &self,
        asked: &Asked,
        parts: &Parts,
        peer: &Peer,
        noted: &mut Noted<'_>,
    ) -> Result<Response<Body>, Box<Problem>> {
        let needs = [asked.need()];
        // A browser on this host is on loopback too, and may know a password: no page asks for anything here.
        if FROM_A_PAGE.iter().any(|name| parts.headers.contains_key(*name)) {
            let text = "a web page may not ask for this (the request has `Origin` or `Sec-Fetch-Site`); use `naru registry`, or a client that is no browser";
            return Err(Box::new(Problem::new(Code::Denied, text)));
        }
        let is_far = self.gate.is_open_to_all() && !peer.address.to_canonical().is_loopback();
        if is_far && !matches!(asked, Asked::Remove(_)) {
            let text = "without users, this may be asked for from the registry's own host only";
            return Err(Box::new(Problem::new(Code::Denied, text)));
        }
        match self.gate.admit(parts, peer, &needs).await {
            Ok(identity) => noted.user = identity.user,
            Err(denied) => {
                (noted.user, noted.is_login) = (denied.user(), denied.is_login());
                return Err(Box::new(refused(&denied, &needs)));
            }
        }
        if noted.user.is_none()
            && let Some(why) = self.refusal_of(parts, peer.tls)
        {
            return Err(Box::new(Problem::new(Code::Denied, why)));
        }
        let Some(keeper) = self.keeper.clone() else {
            return Err(Box::new(Problem::new(Code::Unsupported, "nobody keeps this registry")));
        };
        match asked {
            Asked::Usage => {
                let usage =
                    blocking(move || Usage::of(keeper.store()).map_err(Problem::from)).await?;
                Ok(Answer::json(&json!(usage), false).done())
            }
            Asked::Remove(name) => {
                let repository = name.clone();
                let (tags, members) =
                    blocking(move || Ok(remove_repository(keeper.store(), &repository)?)).await?;
                if members == 0 && tags == 0 {
                    let problem =
                        Problem::new(Code::NameUnknown, "repository name not known to registry");
                    return Err(Box::new(problem.with_detail(json!({ "name": name }))));
                }
                let told = json!({ "name": name, "tags": tags, "members": members });
                Ok(Answer::json(&told, false).done())
            }
            Asked::Collect(how) => {
                let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
                    let problem = Problem::new(
                        Code::TooManyRequests,
                        "too many collections are waited for already",
                    );
                    return Err(Box::new(problem.with_header("retry-after", "10".to_owned())));
                };
                Ok(collecting(keeper, *how, place))
            }
        }
    }
}

/// A request that is counted and noted at its end, whichever that is: what a client that went away has begun is done nevertheless.
struct Noted<'a> {
    edge: &'a Edge,
    asked: &'a Asked,
    peer: &'a Peer,
    begun: Instant,
    user: Option<Arc<str>>,
    is_login: bool,
    status: u16,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.edge.metrics.answered("admin", self.status, self.begun.elapsed());
        let Some(audit) = &self.edge.audit else { return };
        let need = self.asked.need();
        audit.record(Entry {
            user: self.user.as_deref(),
            peer: Some(self.peer.address),
            action: if self.is_login { "login" } else { need.action.as_str() },
            repository: &need.repository,
            reference: match self.asked {
                Asked::Usage => "usage",
                Asked::Collect(_) => "gc",
                Asked::Remove(_) => "",
            },
            status: self.status,
            bytes: 0,
        });
    }
}

/// An answer that begins now and ends with the collection.
fn collecting(keeper: Arc<Keeper>, how: How, place: OwnedSemaphorePermit) -> Response<Body> {
    let (sender, receiver) = mpsc::channel::<Bytes>(2);
    tokio::spawn(async move {
        let mut work = pin!(keeper.tidy(how));
        let told = loop {
            tokio::select! {
                done = work.as_mut() => break done,
                () = tokio::time::sleep(SIGN_OF_LIFE) => {
                    // It goes on without whoever asked.
                    sender.try_send(Bytes::from_static(b"\n")).ok();
                }
            }
        };
        drop(place);
        let told: Value = match told {
            Ok(report) => report.told(),
            Err(fault) => {
                tracing::error!(error = one_line(&fault), "a collection failed");
                json!({ "error": one_line(&fault) })
            }
        };
        sender.send(Bytes::from(told.to_string())).await.ok();
    });
    let bytes = unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((Ok::<_, Infallible>(piece), receiver))
    });
    let mut response = Response::new(Body::from_stream(bytes));
    let headers = response.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    headers.insert("cache-control", http::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
