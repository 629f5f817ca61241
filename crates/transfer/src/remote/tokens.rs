//! Acts: bearer tokens, as docker's token specification and OAuth2 give them out.

use super::config::Credentials;
use super::endpoint::{Scheme, is_insecure, name_of};
use super::refusal;
use super::transport::{collect_body, transport_fault};
use super::wire::Shared;
use crate::turns::Turns;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use naru_errdefs::{Fault, Kind};
use naru_oci::Digest;
use reqwest::Url;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a token lasts when its server does not say (docker's token specification).
const LASTS: u64 = 60;
/// A token is not used in its last seconds.
const MARGIN: Duration = Duration::from_secs(5);
/// No honest answer is longer.
const ANSWER_LIMIT: usize = 1 << 20;
/// Tokens that are remembered.
const MOST: usize = 1000;
const CLIENT_ID: &str = "naru";

/// Where tokens come from, and what for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Issuer {
    pub(super) realm: String,
    pub(super) service: Option<String>,
}

/// A token and what came with it.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    /// A refresh token, when one was asked for.
    pub(super) refresh: Option<String>,
    ends: Instant,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("ends", &self.ends).finish_non_exhaustive()
    }
}

/// Tokens by issuer, scopes, and a digest of who asked.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    known: Mutex<BTreeMap<Key, Token>>,
    /// Who asks for a token holds its turn; the others wait and find it.
    turns: Turns<Key>,
}

type Key = (Issuer, String, Digest);

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
}

impl Tokens {
    /// A token that is still good.
    pub(super) fn get(
        &self,
        issuer: &Issuer,
        scopes: &BTreeSet<String>,
        who: &Credentials,
    ) -> Option<Token> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let token = known.get(&key(issuer, scopes, who))?;
        (token.ends > Instant::now() + MARGIN).then(|| token.clone())
    }

    fn put(&self, issuer: &Issuer, scopes: &BTreeSet<String>, who: &Credentials, token: &Token) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            let now = Instant::now();
            known.retain(|_, token| token.ends > now);
            if known.len() >= MOST {
                known.clear();
            }
        }
        known.insert(key(issuer, scopes, who), token.clone());
    }

    /// Forgets a token that was refused with this value of `Authorization`; one that another request has got since stays.
    pub(super) fn forget(
        &self,
        issuer: &Issuer,
        scopes: &BTreeSet<String>,
        who: &Credentials,
        refused: Option<&str>,
    ) {
        let Some(refused) = refused.and_then(|text| text.strip_prefix("Bearer ")) else { return };
        let key = key(issuer, scopes, who);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&key).is_some_and(|token| token.text == refused) {
            known.remove(&key);
        }
    }
}

fn key(issuer: &Issuer, scopes: &BTreeSet<String>, who: &Credentials) -> Key {
    (issuer.clone(), joined(scopes), fingerprint(who))
}

fn joined(scopes: &BTreeSet<String>) -> String {
    scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn fingerprint(who: &Credentials) -> Digest {
    let text = match who {
        Credentials::Anonymous => String::new(),
        Credentials::Basic { user, password } => format!("basic\0{user}\0{password}"),
        Credentials::IdentityToken(token) => format!("identity\0{token}"),
        Credentials::RegistryToken(token) => format!("registry\0{token}"),
    };
    Digest::of(text.as_bytes())
}

/// The value of `Authorization` for a user and a password.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Where a challenge's realm may lead: to a host over TLS, or in the clear when that is fine for it.
fn checked(shared: &Shared, realm: &str, plain_home: Option<&str>) -> Result<Url, Fault> {
    let refuse = |why: &str| {
        Fault::new(
            Kind::Forbidden,
            format!("the registry sends us for a token to `{realm}`, {why}"),
        )
    };
    let url: Url = realm.parse().map_err(|error| refuse("which is no URL").with_source(error))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let is_fine = match url.scheme() {
        "https" => true,
        "http" => {
            let port = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
            is_insecure(&shared.config, &port)
                // Whoever takes the registry in the clear takes its own token service so, too.
                || plain_home == Some(host.as_str())
        }
        _ => false,
    };
    if !is_fine || host.is_empty() {
        return Err(refuse("where credentials would go unprotected")
            .with_hint("add the host to `insecure-registries` if it is to be trusted so"));
    }
    Ok(url)
}

impl Shared {
    /// A token that is known, or that another request is getting, or a fresh one; and whether it is that.
    pub(super) async fn token(
        &self,
        issuer: &Issuer,
        scopes: &BTreeSet<String>,
        who: &Credentials,
        registry: (Scheme, &str),
    ) -> Result<(Token, bool), Fault> {
        let known = || self.tokens.get(issuer, scopes, who).map(|token| (token, false));
        if let Some(known) = known() {
            return Ok(known);
        }
        let turn = self.tokens.turns.of(key(issuer, scopes, who));
        let _held = turn.lock().await;
        match known() {
            Some(known) => Ok(known),
            None => Ok((self.fetch_token(issuer, scopes, who, registry, false).await?, true)),
        }
    }

    /// Asks for a token. With `offline`, for a refresh token too (`docker login`).
    pub(super) async fn fetch_token(
        &self,
        issuer: &Issuer,
        scopes: &BTreeSet<String>,
        who: &Credentials,
        registry: (Scheme, &str),
        offline: bool,
    ) -> Result<Token, Fault> {
        let (scheme, home) = registry;
        let plain_home = (scheme == Scheme::Http).then_some(name_of(home));
        let mut url = checked(self, &issuer.realm, plain_home)?;
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let insecure = is_insecure(&self.config, &host);
        let client = self.clients.get(&self.config, &host, insecure)?;
        let mut failed = 0;
        let answer = loop {
            let request = if let Credentials::IdentityToken(refresh) = who {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "refresh_token")
                    .append_pair("client_id", CLIENT_ID)
                    .append_pair("refresh_token", refresh)
                    .append_pair("scope", &joined(scopes));
                if let Some(service) = &issuer.service {
                    form.append_pair("service", service);
                }
                client
                    .post(url.clone())
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(form.finish())
            } else {
                let mut asked = url.clone();
                {
                    let mut query = asked.query_pairs_mut();
                    if let Some(service) = &issuer.service {
                        query.append_pair("service", service);
                    }
                    for scope in scopes {
                        query.append_pair("scope", scope);
                    }
                    if offline {
                        query
                            .append_pair("offline_token", "true")
                            .append_pair("client_id", CLIENT_ID);
                    }
                    if let Credentials::Basic { user, .. } = who {
                        query.append_pair("account", user);
                    }
                }
                let request = client.get(asked);
                match who {
                    Credentials::Basic { user, password } => {
                        request.header("authorization", basic(user, password))
                    }
                    _ => request,
                }
            };
            let sent = tokio::time::timeout(self.patience.headers, request.send()).await;
            let (fault, pause) = match sent {
                Ok(Ok(response)) => {
                    let status = response.status().as_u16();
                    let pause = super::wire::asked_pause(response.headers());
                    let body =
                        collect_body(response, ANSWER_LIMIT, self.patience.stall, &host).await?;
                    if status == 200 {
                        break body;
                    }
                    let mut fault = refusal::fault("get a token", &host, status, &body);
                    if matches!(status, 401 | 403) {
                        // People log in at the registry, not where its tokens come from.
                        fault = fault.with_hint(format!(
                            "log in with `naru login{}`, and see that this user may do it",
                            refusal::login_words(home)
                        ));
                    }
                    if !super::retry::is_passing(status) {
                        return Err(fault);
                    }
                    (fault, pause)
                }
                Ok(Err(error)) => (transport_fault("get a token", &host, error), None),
                Err(_) => (
                    Fault::new(
                        Kind::Unavailable,
                        format!("`{host}` did not answer when asked for a token"),
                    ),
                    None,
                ),
            };
            failed += 1;
            if failed >= self.attempts() {
                return Err(fault);
            }
            self.pause(failed, pause).await;
        };
        // A fragment or query of the realm is the issuer's own business, but it must not be lost.
        url.set_fragment(None);
        let answer: Answer = serde_json::from_slice(&answer).map_err(|error| {
            Fault::new(Kind::Unavailable, format!("`{}` gave no token", name_of(&host)))
                .with_source(error)
        })?;
        let text = answer
            .token
            .filter(|token| !token.is_empty())
            .or(answer.access_token.filter(|token| !token.is_empty()))
            .filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or_else(|| {
                Fault::new(Kind::Unavailable, format!("`{host}` gave an answer without a token"))
            })?;
        let lasts = answer.expires_in.unwrap_or(LASTS).clamp(LASTS, 24 * 3600);
        let token = Token {
            text,
            refresh: answer.refresh_token.filter(|token| !token.is_empty()),
            ends: Instant::now() + Duration::from_secs(lasts),
        };
        self.tokens.put(issuer, scopes, who, &token);
        Ok(token)
    }
}
