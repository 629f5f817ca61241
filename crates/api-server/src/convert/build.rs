//! Pure: what a build is asked for, from docker's parameters and from ours; the build cache in docker's words.

mod cache;
pub(crate) mod classic;
pub(crate) mod steps;
mod text;

use super::registry;
use bytes::Bytes;
use naru_api_types::build::{
    BuildCacheRecord, BuildExtras, ContextFile, REGISTRY_CONFIG, is_address,
};
use naru_api_types::registry::AuthConfig;
use naru_api_types::{Map, Query};
use naru_engine::Timestamp;
use naru_engine::builds::{
    Attestations, BuildOptions, CacheRecord, CacheSource, Content, DockerfileSource,
    LayerCompression, NamedContext, NetworkChoice, Node, PruneBuild, RegistryAuth, RunLimits,
    Secret, Ulimit, context_key,
};
use naru_errdefs::Fault;
use naru_oci::Reference;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;

/// Gzip's level when nobody says one: fast, as nobody waits for the last per cent.
const GZIP: u32 = 1;
/// Zstandard's.
const ZSTD: i32 = 3;

/// What is asked for, besides the context.
pub(crate) fn options(
    query: &Query,
    header: impl Fn(&str) -> Option<String>,
    extras: BuildExtras,
) -> Result<BuildOptions, Fault> {
    refuse(query)?;
    let cache = cache::exports(&extras.cache_to)?;
    let (asked, level) = cache.compression(extras.compression, extras.compression_level)?;
    let compression = compression(asked.as_deref(), level)?;
    let dockerfile = match extras.dockerfile {
        Some(file) => DockerfileSource::Text {
            text: reveal("dockerfile", file.text.reveal())?,
            name: file.name,
        },
        None => match query.text("dockerfile") {
            Some(path) => DockerfileSource::Path(path.to_owned()),
            None => DockerfileSource::default(),
        },
    };
    let mut secrets = BTreeMap::new();
    for (id, secret) in extras.secrets {
        let bytes = reveal(&format!("secret `{id}`"), secret.reveal())?;
        secrets.insert(id, Secret(bytes));
    }
    let names: Vec<String> = json(query, "cachefrom", "cache-from")?.unwrap_or_default();
    let only_named_caches = names.iter().any(|name| !name.is_empty());
    let mut cache_from: Vec<CacheSource> = Vec::new();
    for spec in names.iter().chain(&extras.cache_from).filter(|spec| !spec.is_empty()) {
        cache_from.push(cache::source(spec)?);
    }
    let build_args: BTreeMap<String, Option<String>> =
        json(query, "buildargs", "build args")?.unwrap_or_default();
    let epoch = build_args.get("SOURCE_DATE_EPOCH").and_then(Option::as_deref);
    let source_date_epoch = epoch.filter(|text| !text.is_empty()).map(|text| {
        text.parse().map_err(|_no_number| {
            Fault::invalid(format!("invalid SOURCE_DATE_EPOCH: `{text}`"))
                .with_hint("give seconds since 1970, as `date +%s` prints them")
        })
    });
    // As BuildKit's clients ask for it.
    let asked = build_args.get("BUILDKIT_INLINE_CACHE").and_then(Option::as_deref);
    let inline_cache = cache.inline || matches!(asked, Some("1" | "true"));
    Ok(BuildOptions {
        dockerfile,
        remote: query.text("remote").map(str::to_owned),
        tags: tags(query)?,
        target: query.text("target").map(str::to_owned),
        source_date_epoch: source_date_epoch.transpose()?,
        build_args,
        named_contexts: extras.named_contexts.into_iter().try_fold(
            BTreeMap::new(),
            |mut all, (name, place)| {
                name_context(&mut all, &name, further(place)?)?;
                Ok::<_, Fault>(all)
            },
        )?,
        labels: json(query, "labels", "labels")?.unwrap_or_default(),
        no_cache: query.flag("nocache"),
        no_cache_filter: extras.no_cache_filter,
        pull: query.flag("pull"),
        registry_auth: registry_auth(header(REGISTRY_CONFIG).as_deref()),
        ignore_file: match extras.ignore_file {
            Some(text) => Some(reveal("ignore file", text.reveal())?),
            None => None,
        },
        cache_from,
        only_named_caches,
        cache_to: cache.targets,
        network: network(query.text("networkmode"))?,
        platforms: query
            .all("platform")
            .flat_map(|list| list.split(','))
            .filter(|text| !text.is_empty())
            .map(|text| registry::platform(Some(text)))
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?,
        limits: limits(query)?,
        secrets,
        known_hosts: match extras.known_hosts {
            Some(text) => Some(reveal("known hosts", text.reveal())?),
            None => None,
        },
        // Whoever has the stream puts them in.
        ssh: None,
        compression,
        attestations: Attestations { sbom: extras.sbom, provenance: extras.provenance },
        inline_cache,
        annotations: extras.annotations,
        entitlements: extras.entitlements,
    })
}

/// Notes a further context. A name that means something else already is no name for it, nor are two of one meaning.
pub(crate) fn name_context(
    all: &mut BTreeMap<String, NamedContext>,
    name: &str,
    context: NamedContext,
) -> Result<(), Fault> {
    let key = context_key(name);
    if key == "scratch" || key == "context" {
        return Err(Fault::invalid(format!("a build context cannot be called `{name}`"))
            .with_hint("`scratch` and `context` mean something already; give it another name"));
    }
    match all.insert(key, context) {
        None => Ok(()),
        Some(_) => Err(Fault::invalid(format!("two build contexts are called `{name}`"))
            .with_hint("`NAME` and `NAME:latest` are one name; leave one of them out")),
    }
}

/// A further context.
fn further(place: String) -> Result<NamedContext, Fault> {
    if let Some(name) = place.strip_prefix("docker-image://") {
        return Ok(NamedContext::Image(name.to_owned()));
    }
    if let Some(digest) = place.strip_prefix("content:") {
        return Ok(NamedContext::Content(digest.parse()?));
    }
    if is_address(&place) || place.contains('@') {
        return Ok(NamedContext::Address(place));
    }
    Err(Fault::unsupported(format!("the build context `{place}` is not supported")).with_hint(
        "a daemon takes `docker-image://IMAGE`, and addresses of archives and git repositories",
    ))
}

/// What is understood and not served.
fn refuse(query: &Query) -> Result<(), Fault> {
    match query.text("version") {
        None | Some("1") => {}
        Some("2") => {
            return Err(Fault::unsupported("building by a BuildKit session (`version=2`) is not supported")
                .with_hint("set DOCKER_BUILDKIT=0, or build with `naru build`, which has what BuildKit's Dockerfiles need"));
        }
        Some(other) => return Err(Fault::invalid(format!("invalid version \"{other}\""))),
    }
    let unsupported = |name: &str, what: &str, instead: &str| {
        Err(Fault::unsupported(format!("`{name}` is not supported: {what}")).with_hint(instead))
    };
    if query.flag("squash") {
        return unsupported(
            "squash",
            "every layer stays shared with what it was built on",
            "copy the result into a last stage: `FROM scratch` and `COPY --from=STAGE / /`",
        );
    }
    if query.text("session").is_some() {
        return unsupported(
            "session",
            "there are no BuildKit sessions",
            "set DOCKER_BUILDKIT=0, or build with `naru build`",
        );
    }
    if query.text("outputs").is_some_and(|text| text != "[]" && text != "null") {
        return unsupported(
            "outputs",
            "the result is an image here",
            "use `naru build --output`, or `save` and `export` afterwards",
        );
    }
    if query.all("securityopt").any(|text| !text.is_empty()) {
        return unsupported(
            "securityopt",
            "steps run with the default profile",
            "use `RUN --security=insecure` with `naru build --allow security.insecure`",
        );
    }
    match query.text("isolation") {
        None | Some("default") => Ok(()),
        Some(_) => unsupported(
            "isolation",
            "it means something on another operating system only",
            "leave it out",
        ),
    }
}

fn reveal(what: &str, bytes: Option<Vec<u8>>) -> Result<Bytes, Fault> {
    bytes.map(Bytes::from).ok_or_else(|| Fault::invalid(format!("the {what} is no base64")))
}

/// A parameter that holds JSON.
fn json<T: DeserializeOwned>(query: &Query, name: &str, what: &str) -> Result<Option<T>, Fault> {
    let Some(text) = query.text(name) else { return Ok(None) };
    serde_json::from_str::<Option<T>>(text)
        .map_err(|error| Fault::invalid(format!("error reading {what}: {error}")))
}

fn tags(query: &Query) -> Result<Vec<Reference>, Fault> {
    let mut tags: Vec<Reference> = Vec::new();
    for text in query.all("t").filter(|text| !text.is_empty()) {
        let reference: Reference = text.parse()?;
        if reference.digest().is_some() {
            return Err(Fault::invalid("build tag cannot contain a digest")
                .with_hint("name the result `NAME:TAG`; its digest is told when it is there"));
        }
        let reference = reference.or_latest();
        if !tags.contains(&reference) {
            tags.push(reference);
        }
    }
    Ok(tags)
}

fn network(mode: Option<&str>) -> Result<NetworkChoice, Fault> {
    Ok(match mode {
        None | Some("default" | "bridge") => NetworkChoice::Default,
        Some("none") => NetworkChoice::None,
        Some("host") => NetworkChoice::Host,
        Some(mode) if mode.starts_with("container:") => {
            return Err(Fault::unsupported(format!(
                "network mode `{mode}` is not supported for a build"
            ))
            .with_hint(
                "connect the container to a network of its own and build with that network",
            ));
        }
        Some(name) => NetworkChoice::Named(name.to_owned()),
    })
}

fn limits(query: &Query) -> Result<RunLimits, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Limit {
        name: String,
        #[serde(default)]
        soft: i64,
        #[serde(default)]
        hard: i64,
    }
    let number = |name: &str| query.number(name).map(Option::unwrap_or_default);
    let text = |name: &str| query.text(name).unwrap_or_default().to_owned();
    let ulimits: Vec<Limit> = json(query, "ulimits", "ulimits")?.unwrap_or_default();
    let limits = RunLimits {
        memory: number("memory")?,
        memory_swap: number("memswap")?,
        cpu_shares: number("cpushares")?,
        cpu_period: number("cpuperiod")?,
        cpu_quota: number("cpuquota")?,
        cpuset_cpus: text("cpusetcpus"),
        cpuset_mems: text("cpusetmems"),
        cgroup_parent: text("cgroupparent"),
        ulimits: ulimits
            .into_iter()
            .map(|limit| Ulimit { name: limit.name, soft: limit.soft, hard: limit.hard })
            .collect(),
        shm_size: number("shmsize")?,
        // Some clients send the list as one parameter.
        extra_hosts: query
            .all("extrahosts")
            .flat_map(|list| list.split(','))
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
            .collect(),
    };
    for (name, value) in [("memory", limits.memory), ("shmsize", limits.shm_size)] {
        if value < 0 {
            return Err(Fault::invalid(format!("`{name}` must not be negative, but is {value}")));
        }
    }
    Ok(limits)
}

fn compression(name: Option<&str>, level: Option<i64>) -> Result<LayerCompression, Fault> {
    let bad = |level: i64, most: u32| {
        Fault::invalid(format!("compression level {level} is out of range"))
            .with_hint(format!("the levels are 0 to {most}"))
    };
    match name {
        None | Some("gzip") => {
            let level = level.unwrap_or(i64::from(GZIP));
            let fits = u32::try_from(level).ok().filter(|level| *level <= 9);
            Ok(LayerCompression::Gzip { level: fits.ok_or_else(|| bad(level, 9))? })
        }
        Some("zstd") => {
            let level = level.unwrap_or(i64::from(ZSTD));
            let fits = i32::try_from(level).ok().filter(|level| (0..=22).contains(level));
            Ok(LayerCompression::Zstd { level: fits.ok_or_else(|| bad(level, 22))? })
        }
        Some("none" | "uncompressed") => Ok(LayerCompression::None),
        Some(other) => Err(Fault::unsupported(format!("compression `{other}` is not supported"))
            .with_hint("layers are `gzip`, `zstd` or `uncompressed`")),
    }
}

/// Who the client is to registries, by their hosts, as a header says.
pub(crate) fn registry_auth(header: Option<&str>) -> BTreeMap<String, RegistryAuth> {
    let all: Map<AuthConfig> = header.and_then(AuthConfig::decode_all).unwrap_or_default();
    let one = |(name, auth): (String, AuthConfig)| {
        let auth = auth.completed();
        let auth = RegistryAuth {
            user: auth.username,
            password: auth.password,
            identity_token: auth.identitytoken,
            registry_token: auth.registrytoken,
        };
        (registry::registry(&name), auth)
    };
    all.into_iter().map(one).collect()
}

/// A file that a client announces: its path, and what is there.
pub(crate) fn node(file: ContextFile) -> Result<(Vec<u8>, Node), Fault> {
    let bad = |what: String| Fault::invalid(format!("`{}` of the build context {what}", file.path));
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !file.path.split('/').all(is_plain) || file.path.contains('\0') {
        return Err(bad("is no path below it".to_owned()));
    }
    let content = match file.mode & 0o170_000 {
        0o040_000 => Content::Directory,
        0o100_000 => Content::File { digest: file.digest.parse()?, size: file.size },
        0o120_000 if file.target.is_empty() => return Err(bad("leads nowhere".to_owned())),
        0o120_000 => Content::Link(file.target.clone().into_bytes()),
        other => {
            return Err(bad(format!(
                "has the kind {other:o}, which is neither a file nor a directory nor a link"
            )));
        }
    };
    let mut attributes = Vec::new();
    for (name, value) in &file.attributes {
        let value = value.reveal();
        let value = value.ok_or_else(|| bad(format!("has an attribute `{name}` in no base64")))?;
        attributes.push((name.clone().into_bytes(), value));
    }
    let modified = naru_engine::builds::FileTime {
        seconds: file.modified.div_euclid(1_000_000_000),
        nanoseconds: u32::try_from(file.modified.rem_euclid(1_000_000_000)).unwrap_or(0),
    };
    Ok((file.path.into_bytes(), Node { content, mode: file.mode & 0o7777, modified, attributes }))
}

/// What is to be taken from the build cache.
pub(crate) fn prune(query: &Query, now: Timestamp) -> Result<PruneBuild, Fault> {
    let filters = query.filters()?;
    filters.only(&[
        "description",
        "id",
        "inuse",
        "parent",
        "private",
        "shared",
        "type",
        "until",
        "unused-for",
    ])?;
    let bytes = |names: &[&str]| -> Result<u64, Fault> {
        for name in names {
            if let Some(count) = query.number(name)? {
                return u64::try_from(count).map_err(|_negative| {
                    Fault::invalid(format!("`{name}` must not be negative, but is {count}"))
                });
            }
        }
        Ok(0)
    };
    if bytes(&["min-free-space"])? > 0 {
        return Err(Fault::unsupported("`min-free-space` is not supported")
            .with_hint("say how much may stay with `max-used-space`"));
    }
    let mut unused_for = None;
    for text in filters.get("until").chain(filters.get("unused-for")) {
        if unused_for.is_some() {
            return Err(Fault::invalid("more than one until filter specified"));
        }
        if let Some(at) = super::filter::until(text, now)? {
            let nanoseconds = u64::try_from(now.0.saturating_sub(at.0)).unwrap_or(0);
            unused_for = Some(Duration::from_nanos(nanoseconds));
        }
    }
    let all = |key: &str| filters.get(key).map(str::to_owned).collect::<Vec<_>>();
    let others = ["description", "inuse", "parent", "private", "shared"];
    Ok(PruneBuild {
        all: query.flag("all"),
        keep_bytes: bytes(&["reserved-space", "keep-storage"])?,
        max_bytes: bytes(&["max-used-space"])?,
        unused_for,
        ids: all("id"),
        types: all("type"),
        filters: others
            .into_iter()
            .filter(|key| filters.has(key))
            .map(|key| (key.to_owned(), all(key)))
            .collect(),
    })
}

/// A record of the build cache.
pub(crate) fn record(record: CacheRecord) -> BuildCacheRecord {
    let instant = |seconds: u64| {
        Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)).to_string()
    };
    BuildCacheRecord {
        id: record.id,
        parents: super::some(record.parents),
        r#type: record.kind,
        description: record.description,
        in_use: record.in_use,
        shared: record.shared,
        size: super::signed(record.size),
        created_at: instant(record.created),
        last_used_at: (record.last_used > 0).then(|| instant(record.last_used)),
        usage_count: super::signed(record.uses),
    }
}

#[cfg(test)]
mod tests;
