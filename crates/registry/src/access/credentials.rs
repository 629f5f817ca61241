//! What a request says about who sends it: the header `Authorization` (RFC 9110, 11.6.2; RFC 7617; RFC 6750). Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::fmt;

/// Longest user name, in bytes.
pub(crate) const LONGEST_USER: usize = 255;
/// Longest password, in bytes; bcrypt looks at the first 72.
pub(crate) const LONGEST_PASSWORD: usize = 1024;
/// Longest token, in bytes.
pub(crate) const LONGEST_TOKEN: usize = 16 * 1024;

/// A secret that no log and no message shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// What a request says about who sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nothing.
    None,
    /// User name and password.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Bearer(Secret),
    /// Something that is no credentials of a kind we know.
    Malformed,
}

/// Reads the header. More than one is no credentials: who wrote which is not known.
pub(crate) fn of(headers: &HeaderMap) -> Credentials {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Credentials::None };
    if values.next().is_some() {
        return Credentials::Malformed;
    }
    let Ok(text) = value.to_str() else { return Credentials::Malformed };
    let Some((scheme, rest)) = text.trim().split_once(' ') else { return Credentials::Malformed };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        return basic(rest).unwrap_or(Credentials::Malformed);
    }
    if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() && rest.len() <= LONGEST_TOKEN {
        return Credentials::Bearer(Secret(rest.to_owned()));
    }
    Credentials::Malformed
}

fn basic(encoded: &str) -> Option<Credentials> {
    if encoded.len() > 2 * (LONGEST_USER + LONGEST_PASSWORD) {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    is_user_name(user).then(|| Credentials::Basic {
        user: user.to_owned(),
        password: Secret(password.to_owned()),
    })
}

/// Whether a name may be a user's: something, without `:` and control characters.
pub(crate) fn is_user_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_USER
        && !name.contains(':')
        && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&[u8]]) -> Credentials {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        of(&headers)
    }

    fn encoded(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn both_kinds_are_read() {
        let basic = |user: &str, password: &str| Credentials::Basic {
            user: user.to_owned(),
            password: Secret(password.to_owned()),
        };
        assert_eq!(read(&[]), Credentials::None);
        assert_eq!(read(&[encoded("ann:secret").as_bytes()]), basic("ann", "secret"));
        assert_eq!(read(&[encoded("ann:a:b:").as_bytes()]), basic("ann", "a:b:"));
        assert_eq!(read(&[encoded("ann:").as_bytes()]), basic("ann", ""));
        assert_eq!(read(&[b"bAsIc YTpi"]), basic("a", "b"));
        assert_eq!(read(&[b"Bearer  a.b.c"]), Credentials::Bearer(Secret("a.b.c".to_owned())));
    }

    #[test]
    fn everything_else_is_malformed() {
        let long =
            [encoded(&format!("{}:x", "u".repeat(256))), format!("Bearer {}", "x".repeat(16385))];
        let cases: Vec<&[u8]> = vec![
            b"",
            b"Basic",
            b"Basic ",
            b"Basic !!!",
            b"Bearer ",
            b"Bearer",
            b"Digest x=y",
            b"Negotiate abc",
            b"\xff",
            b"Basic YQ==",
            b"Basic OmI=",
            b"Basic /////w==",
            long[0].as_bytes(),
            long[1].as_bytes(),
        ];
        for case in cases {
            assert_eq!(read(&[case]), Credentials::Malformed, "{}", String::from_utf8_lossy(case));
        }
        assert_eq!(read(&[encoded("a\nb:x").as_bytes()]), Credentials::Malformed);
        assert_eq!(read(&[b"Bearer a", b"Bearer a"]), Credentials::Malformed);
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", read(&[encoded("ann:secret").as_bytes()]));
        assert!(shown.contains("ann") && !shown.contains("secret"), "{shown}");
    }
}
