//! What is asked of `/token`: by GET (docker's token specification) or by POST (its OAuth2 variant). Pure.

use super::Need;
use super::credentials::{LONGEST_PASSWORD, LONGEST_TOKEN, Secret, is_user_name};
use super::form;
use super::grant::{MOST_SCOPES, parse_scope};
use std::collections::BTreeSet;

/// How a client says who it is, besides `Authorization`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// By the header alone.
    Header,
    /// `grant_type=password`
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// `grant_type=refresh_token`
    Refresh(Secret),
}

/// A request for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRequest {
    pub(crate) proof: Proof,
    /// For which service; none: whichever this is.
    pub(crate) service: Option<String>,
    pub(crate) wanted: BTreeSet<Need>,
    /// The name that the client believes to have.
    pub(crate) account: Option<String>,
    /// Whether a refresh token is wanted too.
    pub(crate) offline: bool,
}

/// Why a request is none: the OAuth2 error code (RFC 6749, 5.2) and what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadRequest {
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
}

const fn invalid(message: &'static str) -> BadRequest {
    BadRequest { code: "invalid_request", message }
}

/// Reads the query of a GET.
pub(crate) fn of_query(query: &str) -> Result<TokenRequest, BadRequest> {
    let fields = Fields::read(query)?;
    let request = TokenRequest {
        proof: Proof::Header,
        offline: matches!(fields.one("offline_token")?, Some("true" | "1")),
        ..fields.common()?
    };
    Ok(request)
}

/// Reads the form of a POST.
pub(crate) fn of_form(body: &[u8]) -> Result<TokenRequest, BadRequest> {
    let text = std::str::from_utf8(body).map_err(|_other| invalid("the form is not text"))?;
    let fields = Fields::read(text)?;
    let must = |name, message| fields.one(name)?.ok_or(invalid(message));
    let proof = match must("grant_type", "`grant_type` is missing")? {
        "password" => {
            let user = must("username", "`username` is missing")?;
            let password = must("password", "`password` is missing")?;
            if !is_user_name(user) || password.len() > LONGEST_PASSWORD {
                return Err(invalid("`username` or `password` cannot be anybody's"));
            }
            Proof::Password { user: user.to_owned(), password: Secret(password.to_owned()) }
        }
        "refresh_token" => {
            let token = must("refresh_token", "`refresh_token` is missing")?;
            if token.len() > LONGEST_TOKEN {
                return Err(invalid("`refresh_token` is too long"));
            }
            Proof::Refresh(Secret(token.to_owned()))
        }
        _ => {
            return Err(BadRequest {
                code: "unsupported_grant_type",
                message: "`grant_type` must be `password` or `refresh_token`",
            });
        }
    };
    let offline = match fields.one("access_type")? {
        None | Some("online") => false,
        Some("offline") => true,
        Some(_) => return Err(invalid("`access_type` must be `online` or `offline`")),
    };
    Ok(TokenRequest { proof, offline, ..fields.common()? })
}

struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(text: &str) -> Result<Fields, BadRequest> {
        form::fields(text).map(Fields).ok_or(invalid("the fields cannot be read, or are too many"))
    }

    /// The value of a field that may be there once.
    fn one(&self, name: &str) -> Result<Option<&str>, BadRequest> {
        let mut values = self.0.iter().filter(|(it, _value)| it == name);
        let first = values.next().map(|(_name, value)| value.as_str());
        if values.next().is_some() {
            return Err(invalid("a field that may be given once is given twice"));
        }
        Ok(first)
    }

    fn common(&self) -> Result<TokenRequest, BadRequest> {
        let mut wanted = BTreeSet::new();
        let mut scopes = 0;
        let given = self.0.iter().filter(|(name, _value)| name == "scope");
        for scope in given.flat_map(|(_name, value)| value.split(' ')).filter(|it| !it.is_empty()) {
            scopes += 1;
            if scopes > MOST_SCOPES {
                return Err(BadRequest {
                    code: "invalid_scope",
                    message: "more than 32 scopes are asked for",
                });
            }
            wanted.extend(parse_scope(scope));
        }
        Ok(TokenRequest {
            proof: Proof::Header,
            service: self.one("service")?.filter(|it| !it.is_empty()).map(str::to_owned),
            wanted,
            account: self.one("account")?.filter(|it| !it.is_empty()).map(str::to_owned),
            offline: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_query_is_read() {
        let asked = of_query(
            "account=ann&client_id=docker&offline_token=true&service=here&scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository:c:pull%20registry:catalog:*&new=1",
        )
        .unwrap();
        assert_eq!(
            (asked.service.as_deref(), asked.account.as_deref(), asked.offline),
            (Some("here"), Some("ann"), true)
        );
        let wanted: Vec<String> = asked
            .wanted
            .iter()
            .map(|it| format!("{}:{}", it.repository, it.action.as_str()))
            .collect();
        assert_eq!(wanted, [":catalog", "a/b:pull", "a/b:push", "c:pull"]);
        assert_eq!(asked.proof, Proof::Header);
        let empty = of_query("").unwrap();
        assert!(empty.service.is_none() && empty.wanted.is_empty() && !empty.offline);
    }

    #[test]
    fn the_form_is_read() {
        let asked = of_form(
            b"grant_type=password&service=here&client_id=x&access_type=offline&username=ann&password=a%26b+c&scope=repository:a:pull",
        )
        .unwrap();
        assert_eq!(
            asked.proof,
            Proof::Password { user: "ann".into(), password: Secret("a&b c".into()) }
        );
        assert!(asked.offline && asked.wanted.len() == 1);
        let again = of_form(b"grant_type=refresh_token&refresh_token=x.y.z").unwrap();
        assert_eq!(again.proof, Proof::Refresh(Secret("x.y.z".into())));
        assert!(!again.offline);
    }

    #[test]
    fn nonsense_is_refused_with_its_code() {
        let long =
            format!("grant_type=refresh_token&refresh_token={}", "x".repeat(LONGEST_TOKEN + 1));
        for (form, code) in [
            (&b""[..], "invalid_request"),
            (b"\xff", "invalid_request"),
            (b"grant_type=%zz", "invalid_request"),
            (b"grant_type=client_credentials", "unsupported_grant_type"),
            (b"grant_type=authorization_code&code=x", "unsupported_grant_type"),
            (b"grant_type=password&username=ann", "invalid_request"),
            (b"grant_type=password&password=x", "invalid_request"),
            (b"grant_type=password&username=a:b&password=x", "invalid_request"),
            (b"grant_type=password&username=a&username=b&password=x", "invalid_request"),
            (b"grant_type=refresh_token", "invalid_request"),
            (b"grant_type=refresh_token&refresh_token=x&access_type=never", "invalid_request"),
            (long.as_bytes(), "invalid_request"),
        ] {
            assert_eq!(of_form(form).unwrap_err().code, code, "{}", String::from_utf8_lossy(form));
        }
        let scopes = |count: usize| "scope=repository:a:pull&".repeat(count);
        assert!(of_query(&scopes(32)).is_ok());
        assert_eq!(of_query(&scopes(33)).unwrap_err().code, "invalid_scope");
        assert_eq!(of_query("service=a&service=b").unwrap_err().code, "invalid_request");
    }
}
