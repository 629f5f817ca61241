//! Which registry is meant, and what of it. Pure, but for reading the user's configuration.

use crate::commands::registry::Registries;
use crate::context::App;
use crate::flags::{Flag, Flags, switch, value};
use crate::registry_access::{RegistryAccess, RegistryPlace};
use naru_api_types::registry::AuthConfig;
use naru_errdefs::Fault;
use naru_oci::{Digest, is_repository_name, is_tag_name};
use std::path::Path;

/// The registry that is meant when none is named: where `naru registry serve` listens.
const DEFAULT_HOST: &str = "localhost:5000";

pub(super) const PLACE_FLAGS: &[Flag] = &[
    switch("insecure", "Allow plain HTTP and certificates that cannot be verified"),
    value("root", "dir", "Work on the content of a registry that does not run"),
    value("url", "url", "Registry (default \"localhost:5000\")"),
];

/// A host in front of a name, and the rest.
pub(super) fn split_host(text: &str) -> (Option<&str>, &str) {
    match text.split_once('/') {
        Some((host, rest)) if is_host(host) => (Some(host), rest),
        _ => (None, text),
    }
}

fn is_host(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':'])
}

/// What of a repository is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// A tag or a digest.
    Reference(String),
}

/// A repository, and what of it, from a name without its host.
pub(super) fn split_part(text: &str) -> Result<(String, Part), Fault> {
    let (name, part) = match text.split_once('@') {
        Some((name, digest)) => {
            digest
                .parse::<Digest>()
                .map_err(|error| Fault::from(error).context(format!("invalid name `{text}`")))?;
            (name, Part::Reference(digest.to_owned()))
        }
        None => match text.rsplit_once(':') {
            Some((name, tag)) if is_tag_name(tag) => (name, Part::Reference(tag.to_owned())),
            Some((_, tag)) => {
                return Err(Fault::invalid(format!("invalid tag `{tag}` in `{text}`")));
            }
            None => (text, Part::Whole),
        },
    };
    Ok((repository(name)?, part))
}

/// A repository's name, if it is one.
pub(super) fn repository(name: &str) -> Result<String, Fault> {
    if is_repository_name(name) {
        return Ok(name.to_owned());
    }
    Err(Fault::invalid(format!("invalid repository name `{name}`"))
        .with_hint("write [HOST[:PORT]/]NAME, in lower case, as team/app"))
}

/// Host, and whether plain HTTP is fine, of an address.
fn address(text: &str) -> Result<(String, bool), Fault> {
    let (is_plain, rest) = match text.split_once("://") {
        Some(("http", rest)) => (true, rest),
        Some(("https", rest)) => (false, rest),
        Some((scheme, _)) => {
            return Err(Fault::invalid(format!("unsupported scheme `{scheme}` in `{text}`"))
                .with_hint("write http://HOST:PORT, https://HOST:PORT or HOST:PORT"));
        }
        None => (false, text),
    };
    let host = rest.trim_end_matches('/');
    if host.is_empty() || host.contains(['/', '?', '#', '@']) {
        return Err(Fault::invalid(format!("invalid address of a registry: `{text}`"))
            .with_hint("write HOST or HOST:PORT, with http:// or https:// before it if you like"));
    }
    Ok((host.to_owned(), is_plain))
}

/// The registry that flags and a name together mean.
fn place(
    flags: &Flags,
    named: Option<&str>,
    auth: impl FnOnce(&str) -> Result<AuthConfig, Fault>,
) -> Result<RegistryPlace, Fault> {
    let url = flags.text("url").filter(|url| !url.is_empty());
    if let Some(root) = flags.text("root") {
        if url.is_some() || named.is_some() {
            return Err(Fault::invalid(
                "conflicting options: `--root` is for a registry that does not run, and one that runs is named too",
            ));
        }
        if !Path::new(root).is_absolute() {
            return Err(Fault::invalid(format!("`{root}` in `--root` is not an absolute path")));
        }
        return Ok(RegistryPlace::Root(root.into()));
    }
    let (host, is_plain) = address(url.or(named).unwrap_or(DEFAULT_HOST))?;
    if let Some(named) = named.filter(|named| url.is_some() && *named != host) {
        return Err(Fault::invalid(format!(
            "conflicting options: `--url` means the registry `{host}`, the name means `{named}`"
        )));
    }
    let auth = auth(&host)?;
    Ok(RegistryPlace::Host { insecure: is_plain || flags.switch("insecure"), host, auth })
}

/// The registry that is meant, and how it is shown in front of its repositories' names.
pub(super) fn access(
    app: &App<'_>,
    flags: &Flags,
    named: Option<&str>,
) -> Result<(Box<dyn RegistryAccess>, String), Fault> {
    let place = place(flags, named, |host| Ok(Registries::of(app)?.auth(host)))?;
    let shown = match &place {
        RegistryPlace::Host { host, .. } => format!("{host}/"),
        RegistryPlace::Root(_) => String::new(),
    };
    Ok((app.registry(place)?, shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Order, parse};

    #[test]
    fn names_are_taken_apart() {
        let digest = Digest::of(b"").to_string();
        for (text, host, name, reference) in [
            ("localhost:5000/team/app:1", Some("localhost:5000"), "team/app", Some("1")),
            ("localhost/app", Some("localhost"), "app", None),
            ("team/app", None, "team/app", None),
            ("app:v1", None, "app", Some("v1")),
            (&format!("r.example/app@{digest}"), Some("r.example"), "app", Some(&*digest)),
        ] {
            let (found, rest) = split_host(text);
            let (repository, part) = split_part(rest).unwrap();
            let expected = reference.map_or(Part::Whole, |it| Part::Reference(it.to_owned()));
            assert_eq!((found, &*repository, part), (host, name, expected), "{text}");
        }
        for text in ["App", "a//b", "app:", "app:.x", "app@sha256:0", "", "app@"] {
            assert!(split_part(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_and_names_say_where_the_registry_is() {
        let told = |words: &[&str], named: Option<&str>| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let flags = parse(&[PLACE_FLAGS], Order::Mixed, &words).unwrap();
            match place(&flags, named, |_| Ok(AuthConfig::default())) {
                Ok(RegistryPlace::Host { host, insecure, .. }) => format!("{host} {insecure}"),
                Ok(RegistryPlace::Root(root)) => root.display().to_string(),
                Err(fault) => fault.message().to_owned(),
            }
        };
        assert_eq!(told(&[], None), "localhost:5000 false");
        assert_eq!(told(&[], Some("r.example")), "r.example false");
        assert_eq!(told(&["--url", "http://10.0.0.1:80/"], None), "10.0.0.1:80 true");
        assert_eq!(told(&["--url=https://r", "--insecure"], None), "r true");
        assert_eq!(told(&["--url", "r:1"], Some("r:1")), "r:1 false");
        assert_eq!(told(&["--root", "/srv/r"], None), "/srv/r");
        for (words, named, why) in [
            (&["--url", "r:1"][..], Some("r:2"), "`r:2`"),
            (&["--url", "ftp://r"], None, "`ftp`"),
            (&["--url", "http://r/path"], None, "`http://r/path`"),
            (&["--root", "r"], None, "absolute"),
            (&["--root", "/r"], Some("r:1"), "conflicting"),
        ] {
            assert!(told(words, named).contains(why), "{words:?}: {}", told(words, named));
        }
    }
}
