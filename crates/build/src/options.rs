//! Pure: what a build is asked for.

use crate::agent::LentAgents;
use crate::context::BuildContext;
use bytes::Bytes;
use naru_oci::{Digest, Platform, Reference};
use std::collections::BTreeMap;
use std::fmt;

/// Where the Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileSource {
    /// A path inside the context (`Dockerfile` when empty).
    Path(String),
    /// Its text, with the name that messages give it.
    Text {
        /// What messages call it.
        name: String,
        /// The text.
        text: Bytes,
    },
}

impl Default for DockerfileSource {
    fn default() -> DockerfileSource {
        DockerfileSource::Path("Dockerfile".to_owned())
    }
}

/// What a build is asked for. Empty and absent mean "not asked for".
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Where the Dockerfile is.
    pub dockerfile: DockerfileSource,
    /// Where the context is fetched from, when none is given: a Dockerfile or an archive at an address.
    pub remote: Option<String>,
    /// What the context leaves out, when that is not to be looked for in the context.
    pub ignore_file: Option<Bytes>,
    /// Names of the result; none leaves it without.
    pub tags: Vec<Reference>,
    /// The stage that is wanted, by name or number; the last one when absent.
    pub target: Option<String>,
    /// Build arguments; `None` takes nothing (the client had no such variable).
    pub build_args: BTreeMap<String, Option<String>>,
    /// Further contexts, by names as [`crate::context_key`] has them.
    pub named_contexts: BTreeMap<String, NamedContext>,
    /// Labels of the result.
    pub labels: BTreeMap<String, String>,
    /// Nothing is taken from the cache.
    pub no_cache: bool,
    /// Stages that take nothing from the cache.
    pub no_cache_filter: Vec<String>,
    /// Base images are looked for at their registry even when they are here.
    pub pull: bool,
    /// Who the build is to registries, by their hosts (`docker.io`).
    pub registry_auth: BTreeMap<String, RegistryAuth>,
    /// Where cache comes from, besides the store.
    pub cache_from: Vec<CacheSource>,
    /// Of the store's own cache, only what became part of an image of `cache_from` is taken: docker's classic builder.
    pub only_named_caches: bool,
    /// Where the cache goes, besides the store.
    pub cache_to: Vec<CacheExport>,
    /// The network of `RUN`.
    pub network: NetworkChoice,
    /// What the image is for; this host when empty. Several make an index.
    pub platforms: Vec<Platform>,
    /// Limits of `RUN`.
    pub limits: RunLimits,
    /// Secrets by ID.
    pub secrets: BTreeMap<String, Secret>,
    /// Agents for `RUN --mount=type=ssh` and for repositories by ssh.
    pub ssh: Option<LentAgents>,
    /// The hosts that whoever builds knows, as `ssh` keeps them (`known_hosts`).
    pub known_hosts: Option<Bytes>,
    /// How layers are compressed.
    pub compression: LayerCompression,
    /// Seconds since 1970 that replace every younger time in the result.
    pub source_date_epoch: Option<u64>,
    /// Documents about the result.
    pub attestations: Attestations,
    /// Writes the cache's keys into the image's configuration, for `cache_from` elsewhere.
    pub inline_cache: bool,
    /// The image's author is left alone when empty.
    pub annotations: BTreeMap<String, String>,
    /// `linux` entitlements that were granted (`security.insecure`, `network.host`).
    pub entitlements: Vec<String>,
}

/// A context that the Dockerfile knows by a name.
#[derive(Debug, Clone)]
pub enum NamedContext {
    /// An image, by name or ID.
    Image(String),
    /// An image that the client has brought into the store: its manifest, or an index of some.
    Content(Digest),
    /// Files at an address: a repository or an archive.
    Address(String),
    /// Files that the client has sent.
    Files(BuildContext),
}

/// Who the build is to a registry. Empty fields are not used.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegistryAuth {
    /// A user's name.
    pub user: String,
    /// His password.
    pub password: String,
    /// An OAuth2 refresh token.
    pub identity_token: String,
    /// A bearer token.
    pub registry_token: String,
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryAuth").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A secret's bytes. They are shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Bytes);

impl Secret {
    /// The secret as words for a server: without blanks around it. Nothing when it is empty or no text.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok().map(str::trim).filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where cache comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheSource {
    /// An image that is here, or else what its registry has under the name.
    Name(String),
    /// What a registry has under a name.
    Registry(Reference),
    /// A manifest that the client has brought into the store.
    Content(Digest),
}

/// Where the cache goes, besides into the image itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheExport {
    /// The place.
    pub target: CacheTarget,
    /// Whether layers of stages that are not in the result go along.
    pub max: bool,
    /// Whether a failure to write it is only told.
    pub ignore_error: bool,
}

/// A place that a cache goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheTarget {
    /// A name at a registry.
    Registry(Reference),
    /// The store, from where the client takes it.
    Content,
}

/// The network of `RUN`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NetworkChoice {
    /// The default network.
    #[default]
    Default,
    /// None.
    None,
    /// The host's.
    Host,
    /// A network made by a user, by name or ID.
    Named(String),
}

/// Limits of `RUN`. Zero and empty mean "not set".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunLimits {
    /// Bytes of memory.
    pub memory: i64,
    /// Bytes of memory and swap; -1: no limit.
    pub memory_swap: i64,
    /// Relative weight.
    pub cpu_shares: i64,
    /// Microseconds of a period.
    pub cpu_period: i64,
    /// Microseconds of processor time in a period.
    pub cpu_quota: i64,
    /// Processors (`0-3`).
    pub cpuset_cpus: String,
    /// Memory nodes.
    pub cpuset_mems: String,
    /// The cgroup above.
    pub cgroup_parent: String,
    /// Limits of the process.
    pub ulimits: Vec<Ulimit>,
    /// Bytes of `/dev/shm`.
    pub shm_size: i64,
    /// `NAME:ADDRESS` for `/etc/hosts`.
    pub extra_hosts: Vec<String>,
}

/// One limit of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// `nofile` and so on.
    pub name: String,
    /// The soft limit; -1: none.
    pub soft: i64,
    /// The hard limit; -1: none.
    pub hard: i64,
}

/// How layers are compressed. Layers that are there already are never compressed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerCompression {
    /// Not at all.
    None,
    /// Gzip.
    Gzip {
        /// 0 to 9.
        level: u32,
    },
    /// Zstandard.
    Zstd {
        /// 1 to 22.
        level: i32,
    },
}

impl Default for LayerCompression {
    fn default() -> LayerCompression {
        LayerCompression::Gzip { level: 1 }
    }
}

/// Documents about the result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attestations {
    /// A list of what is in it (SPDX).
    pub sbom: bool,
    /// How it was made (SLSA); `min` or `max`.
    pub provenance: Option<String>,
}
