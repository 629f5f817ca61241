//! Pure: the `cache` section of the registry's configuration.

use naru_errdefs::Fault;
use naru_oci::Platform;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::collections::BTreeSet;
use std::path::PathBuf;

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// What is cached, and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CacheConfig {
    /// The registries that are cached.
    #[serde(default)]
    pub upstreams: Vec<UpstreamConfig>,
    /// First parts of repositories that are this registry's own although an upstream has the empty prefix.
    #[serde(default)]
    pub local: Vec<String>,
    /// What clients call this registry itself when they come by another address than its name: `?ns=` may say that, too.
    #[serde(default)]
    pub names: Vec<String>,
    /// How many bytes are kept: beyond it, what was not used for the longest time goes. No bound when it is left out.
    #[serde(default, deserialize_with = "size")]
    pub max_size: Option<u64>,
    /// After how many seconds without use cached content goes. No bound when it is left out.
    #[serde(default, deserialize_with = "maybe_duration")]
    pub max_age: Option<u64>,
}

/// One registry that is cached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Its name as clients know it (`docker.io`, `host`, `host:port`): what `?ns=` says.
    pub name: String,
    /// Where it is: `https://HOST[:PORT][/PATH]`, or `http://`. `https://` and the name when it is left out.
    #[serde(default)]
    pub url: Option<String>,
    /// The first parts of the repositories here that are its own there; the empty text for all that no other upstream has.
    /// The name when it is left out (with `_` for `:`).
    #[serde(default)]
    pub prefix: Option<String>,
    /// A file with `USER:PASSWORD` in its first line.
    #[serde(default)]
    pub credentials: Option<PathBuf>,
    /// For how many seconds a tag is served without asking.
    #[serde(default = "default_ttl", deserialize_with = "duration")]
    pub ttl: u64,
    /// For how many seconds it is remembered that there is no such thing.
    #[serde(default = "default_negative_ttl", deserialize_with = "duration")]
    pub negative_ttl: u64,
    /// Whether tags are served while the upstream is away.
    #[serde(default = "yes")]
    pub serve_stale: bool,
    /// For how many seconds after the last check they are.
    #[serde(default = "default_max_stale", deserialize_with = "duration")]
    pub max_stale: u64,
    /// Platforms whose images are fetched as soon as an index is asked for; others come when they are asked for.
    #[serde(default, deserialize_with = "platforms")]
    pub platforms: Vec<Platform>,
}

const fn default_ttl() -> u64 {
    10 * MINUTE
}

const fn default_negative_ttl() -> u64 {
    MINUTE / 2
}

const fn default_max_stale() -> u64 {
    30 * DAY
}

const fn yes() -> bool {
    true
}

/// A whole number with a unit (`10m`); units and their factors are given.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(split)?;
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Seconds of a text such as `90s`, `10m`, `24h`, `7d`.
pub(crate) fn parse_duration(text: &str) -> Option<u64> {
    scaled(text, &[("s", 1), ("m", MINUTE), ("h", 60 * MINUTE), ("d", DAY)])
}

/// Bytes of a text such as `500M` or `20GiB`; binary units, as docker reads them.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    const K: u64 = 1 << 10;
    let units = [("", 1), ("b", 1), ("k", K), ("m", K * K), ("g", K * K * K), ("t", K * K * K * K)];
    let short = text.trim_end_matches(['B', 'b']).trim_end_matches('i');
    scaled(if short.is_empty() { text } else { short }, &units)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match NumberOrText::deserialize(deserializer) {
        Ok(NumberOrText::Number(seconds)) => Ok(seconds),
        Ok(NumberOrText::Text(text)) => parse_duration(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no span of time: write seconds, or a number with s, m, h or d"
            ))
        }),
        Err(_) => Err(D::Error::custom("write a span of time as seconds, or as in `10m`")),
    }
}

fn maybe_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    duration(deserializer).map(Some)
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match NumberOrText::deserialize(deserializer) {
        Ok(NumberOrText::Number(bytes)) => Ok(Some(bytes)),
        Ok(NumberOrText::Text(text)) => parse_size(&text).map(Some).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no size: write bytes, or a number with k, m, g or t"
            ))
        }),
        Err(_) => Err(D::Error::custom("write a size as bytes, or as in `20g`")),
    }
}

fn platforms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Platform>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse::<Platform>().map_err(D::Error::custom)).collect()
}

/// Whether a text is made of parts that a repository's name may have (distribution-spec, "Pulling manifests").
fn is_path(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.split('/').all(is_part)
}

fn is_part(part: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inside = |byte: u8| alphanumeric(byte) || b"._-".contains(&byte);
    let (Some(first), Some(last)) = (part.bytes().next(), part.bytes().last()) else {
        return false;
    };
    alphanumeric(first)
        && alphanumeric(last)
        && part.bytes().all(inside)
        // Separators: one dot, one or two underscores, any number of dashes.
        && !["..", "___", "._", "_.", ".-", "-.", "_-", "-_"].iter().any(|bad| part.contains(bad))
}

impl UpstreamConfig {
    /// An upstream with this name and the defaults.
    pub fn new(name: &str) -> UpstreamConfig {
        UpstreamConfig {
            name: name.to_owned(),
            url: None,
            prefix: None,
            credentials: None,
            ttl: default_ttl(),
            negative_ttl: default_negative_ttl(),
            serve_stale: true,
            max_stale: default_max_stale(),
            platforms: Vec::new(),
        }
    }

    /// The first parts of its repositories here.
    pub fn prefix(&self) -> String {
        self.prefix.clone().unwrap_or_else(|| self.name.replace(':', "_").to_ascii_lowercase())
    }

    /// Whether it is Docker Hub, where a name of one part is below `library/`.
    pub fn is_hub(&self) -> bool {
        matches!(self.name.as_str(), "docker.io" | "index.docker.io" | "registry-1.docker.io")
    }

    /// Where it is: whether it is plain HTTP, its `host[:port]`, and the path before its repositories.
    pub fn address(&self) -> Result<(bool, String, String), Fault> {
        let wrong = |why: &str| {
            let url = self.url.as_deref().unwrap_or(&self.name);
            Fault::invalid(format!("`{url}` is no address of the upstream `{}`: {why}", self.name))
                .with_hint(
                    "write https://HOST[:PORT][/PATH], or http:// for a registry without TLS",
                )
        };
        let Some(url) = &self.url else { return Ok((false, self.name.clone(), String::new())) };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let is_plain = match scheme {
            "https" => false,
            "http" => true,
            _ => return Err(wrong("the scheme is neither https nor http")),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        if host.contains('@') {
            return Err(wrong("users and passwords belong into the file of `credentials`"));
        }
        if host.is_empty() || host.contains(['?', '#', ' ']) {
            return Err(wrong("it has no host"));
        }
        if !path.is_empty() && (!is_path(path) || path == "v2" || path.starts_with("v2/")) {
            return Err(wrong(
                "its path is not the beginning of a repository's name (without `v2`)",
            ));
        }
        Ok((is_plain, host.to_owned(), path.to_owned()))
    }
}

impl CacheConfig {
    /// Fails when the settings contradict themselves; names the one.
    pub fn check(&self) -> Result<(), Fault> {
        let (mut names, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
        for upstream in &self.upstreams {
            let name = &upstream.name;
            if name.is_empty() || name.contains(['/', ' ', '?', '@']) {
                return Err(Fault::invalid(format!("`{name}` is no name of an upstream"))
                    .with_hint("write what clients call it: `docker.io`, `host` or `host:port`"));
            }
            upstream.address()?;
            let prefix = upstream.prefix();
            if !prefix.is_empty() && !is_path(&prefix) {
                return Err(Fault::invalid(format!(
                    "the prefix `{prefix}` of the upstream `{name}` cannot begin a repository's name"
                ))
                .with_hint("use lower-case letters, digits, dots, dashes and slashes"));
            }
            if !names.insert(name) {
                return Err(Fault::invalid(format!("two upstreams have the name `{name}`")));
            }
            if !prefixes.insert(prefix.clone()) {
                return Err(Fault::invalid(format!("two upstreams have the prefix `{prefix}`")));
            }
            if upstream.max_stale < upstream.ttl && upstream.serve_stale {
                return Err(Fault::invalid(format!(
                    "`max-stale` of the upstream `{name}` is shorter than its `ttl`"
                ))
                .with_hint("make it longer, or set `serve-stale` to false"));
            }
        }
        for local in &self.local {
            if !is_path(local) || prefixes.contains(local) {
                return Err(Fault::invalid(format!(
                    "`{local}` cannot be both `local` and of an upstream, and must be able to begin a repository's name"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CacheConfig, String> {
        let config: CacheConfig = serde_json::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|fault| fault.message().to_owned())?;
        Ok(config)
    }

    #[test]
    fn a_whole_section_is_read() {
        let config = parse(
            r#"{"upstreams":[{"name":"docker.io","prefix":"hub","ttl":"1h","max-stale":"7d","negative-ttl":5,
                "serve-stale":false,"credentials":"/etc/hub","platforms":["linux/arm64/v8"]},
                {"name":"r.example:5000","url":"http://10.0.0.1:5000/mirror/"}],
                "local":["site"],"max-size":"20GiB","max-age":"30d"}"#,
        )
        .unwrap();
        let [hub, other] = config.upstreams.as_slice() else { panic!("{config:?}") };
        assert_eq!((hub.ttl, hub.max_stale, hub.negative_ttl), (3600, 7 * DAY, 5));
        assert!(hub.is_hub() && !hub.serve_stale);
        assert_eq!(hub.platforms[0].to_string(), "linux/arm64/v8");
        assert_eq!(hub.address().unwrap(), (false, "docker.io".to_owned(), String::new()));
        assert_eq!(other.prefix(), "r.example_5000");
        let address = (true, "10.0.0.1:5000".to_owned(), "mirror".to_owned());
        assert_eq!(other.address().unwrap(), address);
        assert_eq!((config.max_size, config.max_age), (Some(20 << 30), Some(30 * DAY)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, message) in [
            (r#"{"upstream":[]}"#, "unknown field `upstream`"),
            (r#"{"upstreams":[{"name":"a","tll":1}]}"#, "unknown field `tll`"),
            (r#"{"upstreams":[{}]}"#, "missing field `name`"),
            (r#"{"upstreams":[{"name":"a/b"}]}"#, "`a/b` is no name of an upstream"),
            (r#"{"upstreams":[{"name":"a","url":"a"}]}"#, "it has no scheme"),
            (r#"{"upstreams":[{"name":"a","url":"ftp://a"}]}"#, "neither https nor http"),
            (r#"{"upstreams":[{"name":"a","url":"https://u:p@a"}]}"#, "`credentials`"),
            (r#"{"upstreams":[{"name":"a","url":"https://a/v2/"}]}"#, "without `v2`"),
            (r#"{"upstreams":[{"name":"a","url":"https://a/../b"}]}"#, "beginning of a repository"),
            (r#"{"upstreams":[{"name":"a","prefix":"A"}]}"#, "cannot begin a repository's name"),
            (r#"{"upstreams":[{"name":"a"},{"name":"a","prefix":"b"}]}"#, "the name `a`"),
            (r#"{"upstreams":[{"name":"a"},{"name":"b","prefix":"a"}]}"#, "the prefix `a`"),
            (r#"{"upstreams":[{"name":"a","ttl":"1w"}]}"#, "`1w` is no span of time"),
            (
                r#"{"upstreams":[{"name":"a","ttl":"2h","max-stale":"1h"}]}"#,
                "shorter than its `ttl`",
            ),
            (r#"{"upstreams":[{"name":"a","platforms":["amd64"]}]}"#, "`amd64` is not a platform"),
            (r#"{"upstreams":[{"name":"a"}],"local":["a"]}"#, "`a` cannot be both"),
            (r#"{"max-size":"many"}"#, "`many` is no size"),
            (r#"{"max-age":-1}"#, "span of time"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn spans_and_sizes_have_units() {
        for (text, expected) in
            [("0s", Some(0)), ("90s", Some(90)), ("7D", Some(7 * DAY)), ("5", None)]
        {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
        for (text, expected) in [
            ("0", Some(0)),
            ("12", Some(12)),
            ("12b", Some(12)),
            ("1k", Some(1024)),
            ("2KiB", Some(2048)),
            ("3 GB", Some(3 << 30)),
            ("99999999999t", None),
            ("b", None),
            ("", None),
        ] {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }
}
