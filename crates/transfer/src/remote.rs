//! Other registries: how they are reached, who we are to them, what is moved.
//!
//! Acts: over the network. One place sends, with tokens and attempts (`wire`), by the HTTP client that `oci-client` stands on.

mod administer;
mod challenge;
mod config;
mod download;
mod endpoint;
mod http;
mod limit;
mod login;
mod pages;
mod pinned;
mod read;
pub(crate) mod refusal;
mod retry;
mod tokens;
mod transport;
mod web;
mod wire;
mod write;

pub use administer::RegistryHost;
pub use config::{Credentials, RegistriesConfig, RegistryConfig};
pub use download::{Download, Validators, fetch_file};
pub use login::{inspect_distribution, login};
pub(crate) use read::familiar;
pub use read::{BlobStream, MANIFEST_LIMIT, RawManifest};
pub use refusal::AskedPause;
pub(crate) use retry::is_passing;
pub use web::{WebAnswer, WebRequest, ask_web, shown_address};
pub(crate) use wire::Patience;
pub use wire::Repository;
pub(crate) use wire::asked_pause;
pub(crate) use write::Writer;

use crate::progress::Progress;
use naru_oci::{Descriptor, ImageId, Platform, Reference};
use std::sync::Arc;

/// Who is told of progress, from any thread or task.
pub type Teller = Arc<dyn Fn(Progress) + Send + Sync>;

/// All registries, with the settings for each and what is known of them (tokens, connections). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registries {
    pub(crate) shared: Arc<wire::Shared>,
}

impl Registries {
    /// Registries by these settings. Nothing is connected or loaded before it is needed.
    pub fn new(config: RegistriesConfig) -> Registries {
        Registries::with_patience(config, Patience::default())
    }

    pub(crate) fn with_patience(config: RegistriesConfig, patience: Patience) -> Registries {
        Registries { shared: Arc::new(wire::Shared::new(config, patience)) }
    }

    /// Registries by other settings, which share the bound on bytes a second with these.
    pub fn beside(&self, config: RegistriesConfig) -> Registries {
        let mut shared = wire::Shared::new(config, Patience::default());
        shared.share_limit(&self.shared);
        Registries { shared: Arc::new(shared) }
    }

    /// The settings.
    pub fn config(&self) -> &RegistriesConfig {
        &self.shared.config
    }

    /// Lets go of idle connections and what was loaded for them.
    pub fn rest(&self) {
        self.shared.clients.forget();
    }
}

/// What is to be pulled.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// The image; a name without tag and digest means `latest`, or every tag with `all_tags`.
    pub reference: Reference,
    /// Every tag of the repository.
    pub all_tags: bool,
    /// Another platform than the host's.
    pub platform: Option<Platform>,
    /// Who we are.
    pub credentials: Credentials,
    /// Bytes a second; none is no limit but the configured one.
    pub limit_rate: Option<u64>,
}

/// What was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledImage {
    /// Its ID.
    pub id: ImageId,
    /// Under which name.
    pub name: Reference,
    /// The manifest or index that the name means at the registry.
    pub target: Descriptor,
    /// Whether the name meant something else here before.
    pub is_new: bool,
}

/// What is to be pushed.
#[derive(Debug, Clone)]
pub struct PushRequest {
    /// The image; a name without tag means `latest`, or every tag with `all_tags`.
    pub reference: Reference,
    /// Every tag of the repository that is here.
    pub all_tags: bool,
    /// One platform of an index only.
    pub platform: Option<Platform>,
    /// Who we are.
    pub credentials: Credentials,
    /// Bytes a second.
    pub limit_rate: Option<u64>,
}

/// What a registry answered to a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginAnswer {
    /// For the person (`Login Succeeded`).
    pub status: String,
    /// A token to use instead of the password from now on; empty when there is none.
    pub identity_token: String,
}

/// What a registry says of an image without handing it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistributionInfo {
    /// What the name means.
    pub descriptor: Descriptor,
    /// The platforms it is there for.
    pub platforms: Vec<Platform>,
}
