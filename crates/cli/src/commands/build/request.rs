//! Pure (but for the reader of files and the environment that it is given): the flags of `build` as what the daemon is
//! asked.

use super::output::{self, Image, Output};
use super::secret;
use crate::exit::Failed;
use crate::flags::{Flags, go_bool};
use crate::opts::{self, OptError};
use naru_api_types::build::BuildExtras;
use naru_api_types::{Map, Query};
use naru_errdefs::Fault;
use naru_oci::Reference;
use std::collections::BTreeMap;

/// What may be given as a further context.
pub(super) const CONTEXTS: &str = "a further context is a directory, `docker-image://IMAGE`, `oci-layout://DIRECTORY`, or an address";

/// What the request depends on beside the flags.
pub(super) struct Surroundings<'a> {
    /// Our environment.
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Content of a file that a flag names.
    pub(super) read: &'a dyn Fn(&str) -> std::io::Result<Vec<u8>>,
    /// Whether a path is a socket.
    pub(super) is_socket: &'a dyn Fn(&str) -> bool,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Asked {
    /// docker's parameters.
    pub(super) query: Query,
    /// What they have no words for.
    pub(super) extras: BuildExtras,
    /// Agents of ssh that are lent to the build: their sockets here, by ID.
    pub(super) agents: BTreeMap<String, String>,
    /// Where the result goes.
    pub(super) outputs: Vec<Output>,
    /// The names of the result.
    pub(super) names: Vec<Reference>,
    /// Whether it is pushed.
    pub(super) push: bool,
}

impl Asked {
    /// Reads the flags.
    pub(super) fn of(flags: &Flags, around: &Surroundings<'_>) -> Result<Asked, Failed> {
        let outputs = flags.parsed_list("output", output::parse)?;
        let image = image(&outputs);
        let push = flags.switch("push") || image.push;
        let mut names: Vec<Reference> = Vec::new();
        let images = outputs.is_empty() || push || outputs.iter().any(Output::keeps_image);
        for text in flags.list("tag").chain(image.names.iter().map(String::as_str)) {
            let name: Reference = text
                .parse()
                .map_err(|error| Fault::from(error).context(format!("invalid tag \"{text}\"")))?;
            if name.digest().is_some() {
                return Err(Fault::invalid("build tag cannot contain a digest")
                    .with_hint("name the result `NAME:TAG`; its digest is told when it is there")
                    .into());
            }
            names.push(name.or_latest());
        }
        if push && names.is_empty() {
            return Err(Fault::invalid("tag is needed when pushing to registry")
                .with_hint("name the result with `-t REGISTRY/NAME:TAG`")
                .into());
        }
        let mut query = Query::new();
        if images {
            for name in &names {
                query = query.with("t", name.familiar());
            }
        }
        let query = parameters(flags, around, query)?;
        let agent = |text: &str| secret::agent(text, around.lookup, around.is_socket);
        let agents = flags.parsed_list("ssh", agent)?.into_iter().collect();
        Ok(Asked { query, extras: extras(flags, around, image)?, agents, outputs, names, push })
    }
}

/// What all outputs together ask of the image.
fn image(outputs: &[Output]) -> Image {
    let mut all = Image::default();
    for output in outputs {
        let Output::Image(image) = output else { continue };
        all.names.extend(image.names.iter().cloned());
        all.push |= image.push;
        all.compression = image.compression.clone().or(all.compression);
        all.compression_level = image.compression_level.or(all.compression_level);
        all.annotations.extend(image.annotations.iter().cloned());
    }
    all
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn parameters(flags: &Flags, around: &Surroundings<'_>, query: Query) -> Result<Query, Failed> {
    let mut arguments: Map<Option<String>> = Map::new();
    for text in flags.list("build-arg") {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, (around.lookup)(text)),
        };
        arguments.insert(name.to_owned(), value);
    }
    // Reproducible builds take their time from the environment.
    if let Some(epoch) = (around.lookup)("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) {
        arguments.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert(Some(epoch));
    }
    let labels: Map<String> = flags.parsed_list("label", opts::env::label)?.into_iter().collect();
    let ulimits: Vec<serde_json::Value> = flags
        .parsed_list("ulimit", opts::ulimit::parse)?
        .into_iter()
        .map(
            |limit| serde_json::json!({"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard}),
        )
        .collect();
    let platforms: Vec<&str> = flags
        .list("platform")
        .flat_map(|list| list.split(','))
        .filter(|text| !text.is_empty())
        .collect();
    let bytes = |flag: &str| flags.parsed(flag, opts::memory::parse).map(text);
    let number = |flag: &str| flags.number(flag).map(text);
    let words = |name: &str| flags.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let some = |map: String| Some(map).filter(|text| !["{}", "[]"].contains(&text.as_str()));
    let mut query = query
        .with("version", "1")
        .with("rm", "1")
        .with_flag("nocache", flags.switch("no-cache"))
        .with_flag("pull", flags.switch("pull"))
        .with_some("buildargs", some(json(&arguments)))
        .with_some("labels", some(json(&labels)))
        .with_some("ulimits", some(json(&ulimits)))
        .with_some("networkmode", words("network"))
        .with_some("target", words("target"))
        .with_some("platform", Some(platforms.join(",")).filter(|text| !text.is_empty()))
        .with_some("shmsize", bytes("shm-size")?)
        .with_some("memory", bytes("memory")?)
        .with_some("memswap", flags.parsed("memory-swap", opts::memory::parse_swap).map(text)?)
        .with_some("cpushares", number("cpu-shares")?)
        .with_some("cpuperiod", number("cpu-period")?)
        .with_some("cpuquota", number("cpu-quota")?)
        .with_some("cpusetcpus", words("cpuset-cpus"))
        .with_some("cpusetmems", words("cpuset-mems"))
        .with_some("cgroupparent", words("cgroup-parent"));
    for host in flags.parsed_list("add-host", opts::names::extra_host)? {
        query = query.with("extrahosts", host);
    }
    Ok(query)
}

fn text(number: Option<i64>) -> Option<String> {
    number.map(|number| number.to_string())
}

fn extras(flags: &Flags, around: &Surroundings<'_>, image: Image) -> Result<BuildExtras, Failed> {
    let refuse = |error: OptError| {
        let fault = Fault::invalid(error.message);
        Failed::from(match error.hint {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        })
    };
    let mut secrets = Map::new();
    for secret in flags.parsed_list("secret", secret::parse)? {
        let bytes = secret.read(around.lookup, around.read).map_err(refuse)?;
        secrets.insert(secret.id, bytes);
    }
    let annotation = |text: &str| {
        let (key, value) = opts::env::pair(text)?;
        match key.split_once(':') {
            None => Ok((key, value)),
            Some(("manifest", key)) => Ok((key.to_owned(), value)),
            Some((level, _)) => {
                Err(OptError::new(format!("annotations of the {level} are not supported"))
                    .with_hint("annotate the manifest: `--annotation KEY=VALUE`"))
            }
        }
    };
    let context = |text: &str| match opts::env::pair(text)? {
        (name, place) if !name.is_empty() && !place.is_empty() => Ok((name, place)),
        _ => Err(OptError::new(format!("invalid context value: {text}, expected key=value"))
            .with_hint(format!("write `NAME=CONTEXT`; {CONTEXTS}"))),
    };
    let entitlement = |text: &str| match text {
        "network.host" | "security.insecure" => Ok(text.to_owned()),
        _ => Err(OptError::new(format!("unknown entitlement {text}"))
            .with_hint("the entitlements are `network.host` and `security.insecure`")),
    };
    let stages = flags.list("no-cache-filter").flat_map(|list| list.split(','));
    let mut annotations: Map<String> =
        flags.parsed_list("annotation", annotation)?.into_iter().collect();
    annotations.extend(image.annotations);
    let (sbom, provenance) = attestations(flags)?;
    Ok(BuildExtras {
        dockerfile: None,
        ignore_file: None,
        secrets,
        agents: None,
        known_hosts: None,
        no_cache_filter: stages.map(str::to_owned).collect(),
        cache_from: flags.list("cache-from").map(str::to_owned).collect(),
        cache_to: flags.list("cache-to").map(str::to_owned).collect(),
        named_directories: Map::new(),
        named_contexts: flags.parsed_list("build-context", context)?.into_iter().collect(),
        compression: image.compression,
        compression_level: image.compression_level,
        sbom,
        provenance,
        annotations,
        entitlements: flags.parsed_list("allow", entitlement)?,
        context: None,
    })
}

/// Whether a list of the content goes along, and how much is told of how it was made.
fn attestations(flags: &Flags) -> Result<(bool, Option<String>), Failed> {
    let bad = |text: &str| {
        Fault::invalid(format!("invalid attestation `{text}`"))
            .with_hint("write `--sbom=true`, `--provenance=mode=min` or `--provenance=mode=max`")
    };
    let mode = |text: &str| -> Result<Option<String>, Failed> {
        match text.strip_prefix("mode=").unwrap_or(text) {
            "min" => Ok(Some("min".to_owned())),
            "max" => Ok(Some("max".to_owned())),
            other => match go_bool(other) {
                Some(true) => Ok(Some("min".to_owned())),
                Some(false) => Ok(None),
                None => Err(bad(text).into()),
            },
        }
    };
    let mut sbom = false;
    let mut provenance = None;
    for text in flags.list("attest") {
        let (kind, rest) = text.split_once(',').unwrap_or((text, ""));
        match (kind.strip_prefix("type=").unwrap_or(kind), rest) {
            ("sbom", "" | "disabled=false") => sbom = true,
            ("sbom", "disabled=true") => sbom = false,
            ("provenance", "disabled=true") => provenance = None,
            ("provenance", "" | "disabled=false") => provenance = Some("min".to_owned()),
            ("provenance", rest) => provenance = mode(rest)?,
            _ => return Err(bad(text).into()),
        }
    }
    if let Some(text) = flags.text("sbom") {
        sbom = go_bool(text).ok_or_else(|| bad(text))?;
    }
    if let Some(text) = flags.text("provenance") {
        provenance = mode(text)?;
    }
    Ok((sbom, provenance))
}

#[cfg(test)]
mod tests;
