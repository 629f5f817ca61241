//! JSON web tokens (RFC 7519) signed with ES256: put together, taken apart and judged. Pure: the time is an argument.
//!
//! One algorithm, one key, nothing negotiated: what a token's header says is compared, never followed.

use super::grant::Grant;
use super::signing_key::SigningKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Seconds by which clocks may differ.
pub(crate) const LEEWAY: u64 = 30;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    /// The user; empty for an anonymous one.
    pub(crate) sub: String,
    pub(crate) aud: String,
    /// Seconds since 1970, as the two below.
    pub(crate) exp: u64,
    pub(crate) nbf: u64,
    pub(crate) iat: u64,
    pub(crate) jti: String,
    pub(crate) access: Vec<Grant>,
    /// Of refresh tokens: binds them to the password that they were made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bound: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
    /// Extensions that must be understood; we understand none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// It is no token, or of another algorithm or key, or was changed.
    Forged,
    /// It is for somebody else, or from somebody else.
    Foreign,
    /// It was good once.
    Expired,
    /// It is not good yet.
    Early,
}

/// Whom a token must be from and for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

/// The token of some claims; none when signing failed.
pub(crate) fn encode(key: &SigningKey, claims: &Claims) -> Option<String> {
    let header =
        Header { alg: "ES256".into(), kid: key.id().to_owned(), typ: "JWT".into(), crit: None };
    let mut token = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).ok()?);
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).ok()?));
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Some(token)
}

/// The claims of a token that is ours; [`check`] says whether it is good now.
pub(crate) fn decode(key: &SigningKey, token: &str) -> Result<Claims, Invalid> {
    let parts: Vec<&str> = token.splitn(4, '.').collect();
    let [header, claims, signature] = parts.as_slice() else { return Err(Invalid::Forged) };
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_other| Invalid::Forged);
    let head: Header = serde_json::from_slice(&bytes(header)?).map_err(|_other| Invalid::Forged)?;
    if head.alg != "ES256" || head.kid != key.id() || head.crit.is_some() {
        return Err(Invalid::Forged);
    }
    let signed = token.get(..header.len() + 1 + claims.len()).ok_or(Invalid::Forged)?;
    if !key.verify(signed.as_bytes(), &bytes(signature)?) {
        return Err(Invalid::Forged);
    }
    serde_json::from_slice(&bytes(claims)?).map_err(|_other| Invalid::Forged)
}

/// Whether claims are good now.
pub(crate) fn check(claims: &Claims, expected: Expected<'_>) -> Result<(), Invalid> {
    if claims.iss != expected.issuer || claims.aud != expected.audience {
        return Err(Invalid::Foreign);
    }
    if expected.now >= claims.exp.saturating_add(LEEWAY) {
        return Err(Invalid::Expired);
    }
    if expected.now.saturating_add(LEEWAY) < claims.nbf {
        return Err(Invalid::Early);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            iss: "us".into(),
            sub: "ann".into(),
            aud: "here".into(),
            exp: 1300,
            nbf: 1000,
            iat: 1000,
            jti: "x".into(),
            access: Vec::new(),
            bound: None,
        }
    }

    fn at(now: u64) -> Expected<'static> {
        Expected { issuer: "us", audience: "here", now }
    }

    #[test]
    fn a_token_is_good_for_its_time_and_place() {
        let key = SigningKey::generate().unwrap();
        let token = encode(&key, &claims()).unwrap();
        let read = decode(&key, &token).unwrap();
        assert_eq!(read, claims());
        for (now, verdict) in [
            (1000, Ok(())),
            (970, Ok(())),
            (969, Err(Invalid::Early)),
            (1329, Ok(())),
            (1330, Err(Invalid::Expired)),
            (u64::MAX, Err(Invalid::Expired)),
            (0, Err(Invalid::Early)),
        ] {
            assert_eq!(check(&read, at(now)), verdict, "{now}");
        }
        assert_eq!(check(&read, Expected { audience: "there", ..at(1000) }), Err(Invalid::Foreign));
        assert_eq!(check(&read, Expected { issuer: "them", ..at(1000) }), Err(Invalid::Foreign));
        let forever = Claims { exp: u64::MAX, ..claims() };
        assert_eq!(check(&forever, at(1000)), Ok(()));
    }

    #[test]
    fn forged_tokens_are_not_ours() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let token = encode(&key, &claims()).unwrap();
        let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
        let b64 = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let with_head = |text: &str| {
            let signed = format!("{}.{body}", b64(text));
            let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap());
            format!("{signed}.{signature}")
        };
        let kid = key.id();
        let admin =
            b64(&serde_json::to_string(&Claims { sub: "root".into(), ..claims() }).unwrap());
        let forged = [
            String::new(),
            "..".to_owned(),
            "a.b.c".to_owned(),
            format!("{head}.{body}"),
            format!("{head}.{body}."),
            format!("{head}.{body}.{signature}.x"),
            format!("{head}.{body}.{signature}="),
            format!("{head}.{admin}.{signature}"),
            format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
            format!("{}.{body}.", b64(&format!(r#"{{"alg":"none","kid":"{kid}","typ":"JWT"}}"#))),
            with_head(&format!(r#"{{"alg":"none","kid":"{kid}","typ":"JWT"}}"#)),
            with_head(&format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"JWT"}}"#)),
            with_head(r#"{"alg":"ES256","kid":"another","typ":"JWT"}"#),
            with_head(&format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"JWT","crit":["exp"]}}"#)),
            with_head("{}"),
            encode(&other, &claims()).unwrap(),
            // Another key under our key's name.
            encode(&other.with_id(kid), &claims()).unwrap(),
        ];
        for token in &forged {
            assert_eq!(decode(&key, token), Err(Invalid::Forged), "{token}");
        }
        decode(&key, &with_head(&format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"JWT"}}"#)))
            .unwrap();
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let key = SigningKey::generate().unwrap();
        let token = encode(&key, &claims()).unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(decode(&key, &changed), Err(Invalid::Forged), "byte {at}");
        }
    }
}
