//! Pure: what requests about registries ask for.

use naru_api_types::Query;
use naru_api_types::registry::AuthConfig;
use naru_engine::images::Credentials;
use naru_errdefs::Fault;
use naru_oci::{Digest, Platform, Reference};

/// The image to pull, and whether all its tags are meant. The tag may be a digest; without one in either place all tags
/// are meant.
pub(crate) fn pulled(image: &str, tag: Option<&str>) -> Result<(Reference, bool), Fault> {
    // Some clients leave the colon of the absent tag.
    let reference: Reference = image.strip_suffix(':').unwrap_or(image).parse()?;
    let Some(tag) = tag else {
        let all_tags = reference.tag().is_none() && reference.digest().is_none();
        return Ok((reference, all_tags));
    };
    match tag.parse::<Digest>() {
        Ok(digest) => Ok((reference.with_digest(digest), false)),
        Err(_) => Ok((reference.with_tag(tag)?, false)),
    }
}

/// The image to push, and whether all its tags are meant.
pub(crate) fn pushed(name: &str, tag: Option<&str>) -> Result<(Reference, bool), Fault> {
    let reference: Reference = name.parse()?;
    if reference.digest().is_some() {
        return Err(Fault::invalid("cannot push a digest reference")
            .with_hint("give the image a tag with `naru tag`, and push that"));
    }
    match tag {
        Some(tag) => Ok((reference.with_tag(tag)?, false)),
        None => {
            let all_tags = reference.tag().is_none();
            Ok((reference, all_tags))
        }
    }
}

/// A platform, as `os/arch[/variant]` or as JSON.
pub(crate) fn platform(text: Option<&str>) -> Result<Option<Platform>, Fault> {
    let Some(text) = text else { return Ok(None) };
    if text.starts_with('{') {
        return serde_json::from_str(text).map(Some).map_err(|error| {
            Fault::invalid(format!("failed to parse platform: {error}"))
                .with_hint("write {\"os\":\"linux\",\"architecture\":\"arm64\"}")
        });
    }
    Ok(Some(text.parse()?))
}

/// Bytes a second (an extension of ours).
pub(crate) fn limit_rate(query: &Query) -> Result<Option<u64>, Fault> {
    let Some(rate) = query.number("limit-rate")? else { return Ok(None) };
    match u64::try_from(rate) {
        Ok(rate) if rate > 0 => Ok(Some(rate)),
        _ => Err(Fault::invalid(format!("invalid rate `{rate}`"))
            .with_hint("give bytes a second, more than 0")),
    }
}

/// The one thing of a client's words that the registry is told.
pub(crate) fn credentials(auth: AuthConfig) -> Credentials {
    if !auth.registrytoken.is_empty() {
        return Credentials::RegistryToken(auth.registrytoken);
    }
    if !auth.identitytoken.is_empty() {
        return Credentials::IdentityToken(auth.identitytoken);
    }
    if auth.username.is_empty() && auth.password.is_empty() {
        return Credentials::Anonymous;
    }
    Credentials::Basic { user: auth.username, password: auth.password }
}

/// `host[:port]` of a server's address; the Hub has several, and none stands for it.
pub(crate) fn registry(address: &str) -> String {
    let address = address.strip_prefix("https://").unwrap_or(address);
    let address = address.strip_prefix("http://").unwrap_or(address);
    let host = address.split('/').next().unwrap_or_default();
    match host {
        "" | "index.docker.io" | "docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_is_to_be_pulled() {
        for (image, tag, meant) in [
            ("x", Some("1"), "x:1"),
            ("x", None, "x *"),
            ("x:", None, "x *"),
            ("x:1", None, "x:1"),
            ("x:1", Some("2"), "x:2"),
            ("h:5/a/x", Some(DIGEST), &*format!("h:5/a/x@{DIGEST}")),
        ] {
            let (reference, all) = pulled(image, tag).unwrap();
            let shown = reference.familiar() + if all { " *" } else { "" };
            assert_eq!(shown, meant, "{image} {tag:?}");
        }
        for (image, tag) in [("X", None), ("x", Some("b:ad")), ("x", Some("sha256:12")), ("", None)]
        {
            assert!(pulled(image, tag).is_err(), "{image} {tag:?}");
        }
    }

    #[test]
    fn what_is_to_be_pushed() {
        let shown = |(reference, all): (Reference, bool)| (reference.familiar(), all);
        assert_eq!(shown(pushed("x", None).unwrap()), ("x".to_owned(), true));
        assert_eq!(shown(pushed("x", Some("1")).unwrap()), ("x:1".to_owned(), false));
        assert_eq!(shown(pushed("h:5/x:2", None).unwrap()), ("h:5/x:2".to_owned(), false));
        let fault = pushed(&format!("x@{DIGEST}"), None).unwrap_err();
        assert_eq!(fault.message(), "cannot push a digest reference");
    }

    #[test]
    fn platforms_in_both_forms() {
        let arm = Platform { variant: Some("v7".to_owned()), ..Platform::new("linux", "arm") };
        let json = r#"{"architecture":"arm","os":"linux","variant":"v7"}"#;
        for text in [json, "linux/arm/v7"] {
            assert_eq!(platform(Some(text)).unwrap(), Some(arm.clone()), "{text}");
        }
        assert_eq!(platform(None).unwrap(), None);
        for text in ["{", "{}", "linux"] {
            assert!(platform(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_positive() {
        let rate = |text: &str| limit_rate(&Query::parse(text));
        assert_eq!(rate("").unwrap(), None);
        assert_eq!(rate("limit-rate=1000").unwrap(), Some(1000));
        for text in ["limit-rate=0", "limit-rate=-1", "limit-rate=fast"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_credential_counts() {
        let auth = |fields: [&str; 4]| {
            let [username, password, identitytoken, registrytoken] = fields.map(str::to_owned);
            let auth = AuthConfig {
                username,
                password,
                identitytoken,
                registrytoken,
                ..AuthConfig::default()
            };
            match credentials(auth) {
                Credentials::Anonymous => "nobody".to_owned(),
                Credentials::Basic { user, password } => format!("{user}:{password}"),
                Credentials::IdentityToken(token) => format!("identity {token}"),
                Credentials::RegistryToken(token) => format!("registry {token}"),
            }
        };
        assert_eq!(auth(["", "", "", ""]), "nobody");
        assert_eq!(auth(["a", "b", "", ""]), "a:b");
        assert_eq!(auth(["a", "b", "i", ""]), "identity i");
        assert_eq!(auth(["a", "b", "i", "r"]), "registry r");
    }

    #[test]
    fn addresses_of_registries() {
        for (address, registry_of) in [
            ("", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
            ("localhost:5000", "localhost:5000"),
            ("https://r.example/v2/", "r.example"),
            ("http://r.example:80", "r.example:80"),
        ] {
            assert_eq!(registry(address), registry_of, "{address}");
        }
    }
}
