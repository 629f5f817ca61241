//! `/token`: tokens for whoever is known, and for anonymous ones where they may anything. Acts.
//!
//! GET is docker's token specification, POST its OAuth2 variant. A token has what was asked for as far as the user has the right;
//! that it lacks the rest is found out when it is used. Refresh tokens are for the token service alone (another audience), and bound
//! to the user's password: a new password ends them.

use super::credentials::Secret;
use super::gate::{BASIC_CHALLENGE, Gate, Unknown, seconds_now};
use super::grant::grants;
use super::jwt::{self, Claims, Expected};
use super::token_request::{self, BadRequest, Proof, TokenRequest};
use super::{Need, Peer};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The path of the endpoint.
pub const TOKEN_PATH: &str = "/token";

/// Largest body of a POST, in bytes; whoever reads it must stop there.
pub const LARGEST_TOKEN_BODY: usize = 64 * 1024;

/// Longest token that is issued, in bytes: the header that carries it must stay within what servers take.
const LONGEST_ISSUED: usize = 7 * 1024;

/// Why no token is given.
enum Refused {
    Bad(BadRequest),
    Unknown,
    NoRefresh,
    Throttled(u64),
    Internal,
}

/// For whom a token was made; in the answer's extensions.
#[derive(Debug, Clone)]
pub(crate) struct TokenUser(pub(crate) Arc<str>);

impl Gate {
    /// Answers a request for a token. The answer's user, when there is one, is for the audit.
    pub async fn token(&self, parts: &Parts, body: &[u8], peer: &Peer) -> Response<Bytes> {
        let asked = match parts.method {
            Method::GET => token_request::of_query(parts.uri.query().unwrap_or_default()),
            Method::POST => token_request::of_form(body),
            _ => {
                let mut response = reply(
                    StatusCode::METHOD_NOT_ALLOWED,
                    &error("UNSUPPORTED", "invalid_request", "tokens are had by GET or POST"),
                );
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
                return response;
            }
        };
        let issued = match asked {
            Ok(asked) => self.issue(parts, peer, asked).await,
            Err(bad) => Err(Refused::Bad(bad)),
        };
        match issued {
            Ok((body, user)) => {
                let mut response = reply(StatusCode::OK, &body);
                if let Some(user) = user {
                    response.extensions_mut().insert(TokenUser(user));
                }
                response
            }
            Err(refused) => refuse(&refused, parts.method == Method::POST),
        }
    }

    async fn issue(
        &self,
        parts: &Parts,
        peer: &Peer,
        asked: TokenRequest,
    ) -> Result<(Value, Option<Arc<str>>), Refused> {
        let Some(key) = &self.inner.key else {
            return Err(Refused::Bad(BadRequest {
                code: "invalid_request",
                message: "this registry asks nobody for tokens",
            }));
        };
        let ours = self.inner.token.service();
        if asked.service.as_deref().is_some_and(|service| service != ours) {
            return Err(Refused::Bad(BadRequest {
                code: "invalid_request",
                message: "`service` is not this registry's",
            }));
        }
        let (user, given) = match &asked.proof {
            Proof::Header => (self.of_header(parts, peer).await?, None),
            Proof::Password { user, password } => {
                (self.of_password(peer, user, password).await?, None)
            }
            Proof::Refresh(token) => (self.of_refresh(token).await?, Some(token.0.clone())),
        };
        if let (Some(account), Some(user)) = (&asked.account, &user)
            && account != &**user
        {
            return Err(Refused::Bad(BadRequest {
                code: "invalid_request",
                message: "`account` is not the user whose credentials were given",
            }));
        }
        let granted: BTreeSet<Need> =
            asked.wanted.into_iter().filter(|need| self.has_right(user.as_deref(), need)).collect();
        let now = seconds_now();
        let lifetime = self.inner.token.lifetime();
        let access = Claims {
            iss: self.inner.token.issuer().to_owned(),
            sub: user.as_deref().unwrap_or_default().to_owned(),
            aud: ours.to_owned(),
            exp: now.saturating_add(lifetime),
            nbf: now,
            iat: now,
            jti: hex::encode(
                naru_kernel::random::bytes::<16>().map_err(|_other| Refused::Internal)?,
            ),
            access: grants(&granted),
            bound: None,
        };
        let token = jwt::encode(key, &access).ok_or(Refused::Internal)?;
        if token.len() > LONGEST_ISSUED {
            return Err(Refused::Bad(BadRequest {
                code: "invalid_scope",
                message: "the scopes are too long together for one token",
            }));
        }
        let mut body = json!({
            "token": token,
            "access_token": token,
            "expires_in": lifetime,
            "issued_at": rfc3339(now).ok_or(Refused::Internal)?,
        });
        if let Some(fields) = body.as_object_mut() {
            if parts.method == Method::POST {
                fields.insert("token_type".to_owned(), json!("Bearer"));
                let scope: Vec<String> = access
                    .access
                    .iter()
                    .map(|it| format!("{}:{}:{}", it.kind, it.name, it.actions.join(",")))
                    .collect();
                fields.insert("scope".to_owned(), json!(scope.join(" ")));
            }
            let refresh = match given {
                Some(given) => Some(given),
                None if asked.offline => self.refresh_token(&access).await,
                None => None,
            };
            if let Some(refresh) = refresh {
                fields.insert("refresh_token".to_owned(), json!(refresh));
            }
        }
        Ok((body, user))
    }

    async fn of_header(&self, parts: &Parts, peer: &Peer) -> Result<Option<Arc<str>>, Refused> {
        // A token is no way to get another one: it would live for ever.
        let bearer = parts.headers.get(header::AUTHORIZATION).is_some_and(|value| {
            value.as_bytes().get(..7).is_some_and(|it| it.eq_ignore_ascii_case(b"bearer "))
        });
        if bearer {
            return Err(Refused::Unknown);
        }
        let who = self.who(&parts.headers, peer).await.map_err(refused_of)?;
        if who.user.is_none() && !self.serves_anonymous() {
            return Err(Refused::Unknown);
        }
        Ok(who.user)
    }

    async fn of_password(
        &self,
        peer: &Peer,
        user: &str,
        password: &Secret,
    ) -> Result<Option<Arc<str>>, Refused> {
        let users = self.inner.users.as_ref().ok_or(Refused::Unknown)?;
        self.login(users, peer, user, password).await.map_err(refused_of)?;
        Ok(Some(user.into()))
    }

    async fn of_refresh(&self, token: &Secret) -> Result<Option<Arc<str>>, Refused> {
        let (Some(key), Some(users)) = (&self.inner.key, &self.inner.users) else {
            return Err(Refused::NoRefresh);
        };
        let claims = jwt::decode(key, &token.0).map_err(|_invalid| Refused::NoRefresh)?;
        let audience = self.refresh_audience();
        let issuer = self.inner.token.issuer();
        let expected = Expected { issuer, audience: &audience, now: seconds_now() };
        jwt::check(&claims, expected).map_err(|_invalid| Refused::NoRefresh)?;
        let bound = users.bound(&claims.sub, key.pkcs8()).await;
        if bound.is_none() || bound != claims.bound {
            return Err(Refused::NoRefresh);
        }
        Ok(Some(claims.sub.into()))
    }

    /// A refresh token for whom an access token was made for; none where none are given, and none for who has no password here.
    async fn refresh_token(&self, access: &Claims) -> Option<String> {
        let lifetime = self.inner.token.refresh_lifetime();
        if lifetime == 0 || access.sub.is_empty() {
            return None;
        }
        let key = self.inner.key.as_ref()?;
        let bound = self.inner.users.as_ref()?.bound(&access.sub, key.pkcs8()).await?;
        let claims = Claims {
            aud: self.refresh_audience(),
            exp: access.iat.saturating_add(lifetime),
            access: Vec::new(),
            bound: Some(bound),
            ..access.clone()
        };
        jwt::encode(key, &claims)
    }

    fn refresh_audience(&self) -> String {
        // No service's name has a space.
        format!("{} token service", self.inner.token.service())
    }
}

fn refused_of(unknown: Unknown) -> Refused {
    match unknown {
        Unknown::Wrong | Unknown::Token => Refused::Unknown,
        Unknown::Throttled(seconds) => Refused::Throttled(seconds),
    }
}

/// Pure: the answer that says why not: the registry's error shape, and for a POST OAuth2's besides (RFC 6749, 5.2).
fn refuse(refused: &Refused, oauth: bool) -> Response<Bytes> {
    let (status, code, oauth_code, message) = match refused {
        Refused::Bad(bad) => (StatusCode::BAD_REQUEST, "UNSUPPORTED", bad.code, bad.message),
        Refused::Unknown => (
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "invalid_grant",
            "user name or password is wrong or missing",
        ),
        Refused::NoRefresh => (
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "invalid_grant",
            "the refresh token is not good, or no longer: log in again",
        ),
        Refused::Throttled(_) => (
            StatusCode::TOO_MANY_REQUESTS,
            "TOOMANYREQUESTS",
            "temporarily_unavailable",
            "too many failed logins: wait before the next one",
        ),
        Refused::Internal => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "UNKNOWN",
            "server_error",
            "the token could not be made",
        ),
    };
    let mut body = error(code, oauth_code, message);
    if !oauth && let Some(fields) = body.as_object_mut() {
        fields.remove("error");
        fields.remove("error_description");
    }
    let mut response = reply(status, &body);
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(BASIC_CHALLENGE));
    }
    if let Refused::Throttled(seconds) = refused {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    response
}

fn error(code: &str, oauth: &str, message: &str) -> Value {
    json!({
        "errors": [{"code": code, "message": message, "detail": null}],
        "error": oauth,
        "error_description": message,
    })
}

fn reply(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // Tokens belong in nobody's cache.
    let fixed: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn rfc3339(seconds: u64) -> Option<String> {
    let time = time::OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    time.format(&time::format_description::well_known::Rfc3339).ok()
}
