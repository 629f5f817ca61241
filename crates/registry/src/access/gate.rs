//! Lets requests in, or says why not. Acts: asks the file of users, and knows the time.

use super::config::{AccessConfig, Challenge, TokenConfig};
use super::credentials::{self, Credentials};
use super::grant::challenge_scope;
use super::jwt::{self, Claims, Expected, Invalid};
use super::signing_key::SigningKey;
use super::users::{LoginError, UserFile};
use super::{Denied, Grant, Identity, Need, Peer, Policy, TOKEN_PATH};
use http::HeaderMap;
use http::request::Parts;
use naru_errdefs::{Fault, ResultExt};
use ring::digest::{SHA256, digest};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the key's file in the registry's directory.
const KEY_FILE: &str = "token.key";
/// Most tokens whose signatures are remembered as right.
const MOST_REMEMBERED: usize = 1024;

/// Who is let in. A cheap clone.
#[derive(Debug, Clone)]
pub struct Gate {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) users: Option<Arc<UserFile>>,
    policy: Option<Arc<Policy>>,
    challenge: Challenge,
    pub(super) token: TokenConfig,
    pub(super) key: Option<SigningKey>,
    /// Tokens whose signature is right, by their SHA-256.
    verified: Mutex<BTreeMap<[u8; 32], Arc<Verified>>>,
}

#[derive(Debug)]
struct Verified {
    claims: Claims,
    grants: Arc<[Grant]>,
}

/// Who is asking, before it is known what they may.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) user: Option<Arc<str>>,
    grants: Option<Arc<[Grant]>>,
}

/// Why it is not known who is asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The credentials are of no kind we know, or wrong.
    Wrong,
    /// The token is not good.
    Token,
    /// Too many attempts; seconds until the next one.
    Throttled(u64),
}

impl Gate {
    /// A gate that keeps nobody from anything.
    pub fn open_to_all() -> Gate {
        Gate {
            inner: Arc::new(Inner {
                users: None,
                policy: None,
                challenge: Challenge::Basic,
                token: TokenConfig::default(),
                key: None,
                verified: Mutex::default(),
            }),
        }
    }

    /// The gate of a configuration. `directory` is the registry's own, where its key is kept; `client_certificates` says that
    /// clients may be known by their certificates. Waits for the disk.
    pub fn open(
        config: &AccessConfig,
        directory: &Path,
        client_certificates: bool,
    ) -> Result<Gate, Fault> {
        config.validate()?;
        let users = config.htpasswd.as_deref().map(UserFile::open).transpose()?.map(Arc::new);
        let users_exist = users.is_some() || client_certificates;
        let policy = Policy::of(config, users_exist)?.map(Arc::new);
        let Some(policy) = policy else { return Ok(Gate::open_to_all()) };
        // Docker's client asks without credentials first and takes an anonymous token, but gives up at a challenge of kind `Basic`.
        let usual = if policy.serves_anonymous() { Challenge::Token } else { Challenge::Basic };
        std::fs::create_dir_all(directory)
            .during(|| format!("cannot make `{}`", directory.display()))?;
        Ok(Gate {
            inner: Arc::new(Inner {
                users,
                policy: Some(policy),
                challenge: config.challenge.unwrap_or(usual),
                token: config.token.clone(),
                key: Some(SigningKey::open(&directory.join(KEY_FILE))?),
                verified: Mutex::default(),
            }),
        })
    }

    /// Whether everybody may do everything.
    pub fn is_open_to_all(&self) -> bool {
        self.inner.policy.is_none()
    }

    /// Lets a request in that needs some rights, all of them. None needed: it is asked whether whoever asks is known (`/v2/`).
    pub async fn admit(
        &self,
        parts: &Parts,
        peer: &Peer,
        needs: &[Need],
    ) -> Result<Identity, Denied> {
        let Some(policy) = &self.inner.policy else { return Ok(Identity::unrestricted()) };
        let who = match self.who(&parts.headers, peer).await {
            Ok(who) => who,
            Err(Unknown::Throttled(retry_after)) => return Err(Denied::Throttled { retry_after }),
            Err(Unknown::Wrong) => return Err(self.ask(parts, peer, needs, None)),
            Err(Unknown::Token) => return Err(self.ask(parts, peer, needs, Some("invalid_token"))),
        };
        let anonymous = who.user.is_none();
        let by_token = who.grants.is_some();
        let identity =
            Identity { user: who.user, grants: who.grants, policy: Some(Arc::clone(policy)) };
        if needs.is_empty() {
            // Clients ask here how to log in, so somebody who has not is told, whatever anonymous ones may.
            let ask = anonymous && !by_token && policy.users_exist();
            return if ask { Err(self.ask(parts, peer, needs, None)) } else { Ok(identity) };
        }
        if needs.iter().all(|need| identity.may(&need.repository, need.action)) {
            return Ok(identity);
        }
        let has_rights = needs.iter().all(|need| identity.has_right(&need.repository, need.action));
        if has_rights {
            // The token at hand was made for something else.
            return Err(self.ask(parts, peer, needs, Some("insufficient_scope")));
        }
        if anonymous && policy.users_exist() {
            let error = by_token.then_some("insufficient_scope");
            return Err(self.ask(parts, peer, needs, error));
        }
        Err(Denied::Forbidden { user: identity.user })
    }

    /// Who is asking. A header counts more than the connection's certificate.
    pub(super) async fn who(&self, headers: &HeaderMap, peer: &Peer) -> Result<Who, Unknown> {
        let certificate = Who { user: peer.certificate_user.clone(), grants: None };
        match credentials::of(headers) {
            Credentials::None => Ok(certificate),
            Credentials::Malformed => Err(Unknown::Wrong),
            Credentials::Basic { user, password } => match &self.inner.users {
                // Nobody has a password here; docker sends one that it keeps for this address all the same.
                None => Ok(certificate),
                Some(users) => {
                    self.login(users, peer, &user, &password).await?;
                    Ok(Who { user: Some(user.into()), grants: None })
                }
            },
            Credentials::Bearer(token) => {
                let verified = self.verified(&token.0).map_err(|_invalid| Unknown::Token)?;
                let subject = verified.claims.sub.as_str();
                Ok(Who {
                    user: (!subject.is_empty()).then(|| Arc::from(subject)),
                    grants: Some(Arc::clone(&verified.grants)),
                })
            }
        }
    }

    pub(super) async fn login(
        &self,
        users: &Arc<UserFile>,
        peer: &Peer,
        user: &str,
        password: &credentials::Secret,
    ) -> Result<(), Unknown> {
        users.login(peer.address, user, password).await.map_err(|error| match error {
            LoginError::Wrong => {
                tracing::warn!(user, peer = %peer.address, "failed login");
                Unknown::Wrong
            }
            LoginError::Throttled(seconds) => Unknown::Throttled(seconds),
        })
    }

    /// The right of somebody, before any token.
    pub(super) fn has_right(&self, user: Option<&str>, need: &Need) -> bool {
        self.inner
            .policy
            .as_ref()
            .is_none_or(|policy| policy.allows(user, &need.repository, need.action))
    }

    /// Whether somebody anonymous gets tokens.
    pub(super) fn serves_anonymous(&self) -> bool {
        self.inner.policy.as_ref().is_none_or(|policy| policy.serves_anonymous())
    }

    fn verified(&self, token: &str) -> Result<Arc<Verified>, Invalid> {
        let key = self.inner.key.as_ref().ok_or(Invalid::Forged)?;
        let mut name = [0; 32];
        name.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let lock = || self.inner.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&name).cloned();
        let verified = match known {
            Some(verified) => verified,
            None => {
                let mut claims = jwt::decode(key, token)?;
                let grants = std::mem::take(&mut claims.access).into();
                let verified = Arc::new(Verified { claims, grants });
                let mut all = lock();
                if all.len() >= MOST_REMEMBERED {
                    let now = seconds_now();
                    all.retain(|_name, it| it.claims.exp > now);
                    if all.len() >= MOST_REMEMBERED {
                        all.pop_first();
                    }
                }
                all.insert(name, Arc::clone(&verified));
                verified
            }
        };
        let expected = Expected {
            issuer: self.inner.token.issuer(),
            audience: self.inner.token.service(),
            now: seconds_now(),
        };
        jwt::check(&verified.claims, expected)?;
        Ok(verified)
    }

    fn ask(&self, parts: &Parts, peer: &Peer, needs: &[Need], error: Option<&str>) -> Denied {
        // Who came with a token is told where to get a better one.
        let token = self.inner.challenge == Challenge::Token || error.is_some();
        let challenge = if token {
            bearer_challenge(&self.realm(parts, peer), self.inner.token.service(), needs, error)
        } else {
            BASIC_CHALLENGE.to_owned()
        };
        Denied::Unauthorized { challenge }
    }

    fn realm(&self, parts: &Parts, peer: &Peer) -> String {
        match &self.inner.token.realm {
            Some(realm) => realm.clone(),
            None => realm_of(parts, peer.tls),
        }
    }
}

/// What asks for user name and password.
pub(super) const BASIC_CHALLENGE: &str = "Basic realm=\"Naru registry\", charset=\"UTF-8\"";

/// Pure: docker's challenge (RFC 6750, 3).
fn bearer_challenge(realm: &str, service: &str, needs: &[Need], error: Option<&str>) -> String {
    let mut challenge = format!("Bearer realm=\"{realm}\",service=\"{service}\"");
    let scope = challenge_scope(needs);
    if !scope.is_empty() {
        challenge.push_str(&format!(",scope=\"{scope}\""));
    }
    if let Some(error) = error {
        challenge.push_str(&format!(",error=\"{error}\""));
    }
    challenge
}

/// Pure: where tokens are, seen from a client: the address that it came by. A proxy in front that speaks TLS says so.
fn realm_of(parts: &Parts, tls: bool) -> String {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let tls = tls || header("x-forwarded-proto").is_some_and(|it| it.eq_ignore_ascii_case("https"));
    let scheme = if tls { "https" } else { "http" };
    let host = parts.uri.authority().map(http::uri::Authority::as_str).or_else(|| header("host"));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let host =
        host.filter(|host| !host.is_empty() && host.bytes().all(plain)).unwrap_or("localhost");
    format!("{scheme}://{host}{TOKEN_PATH}")
}

/// Seconds since 1970.
pub(super) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
