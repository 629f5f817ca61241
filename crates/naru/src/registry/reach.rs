//! The way of `naru registry ls|tags|rm|gc|du` to a registry: over the protocol where one listens, on the store where none runs.
//! Acts: the other side of the command line's port.

mod direct;
mod measure;

use crate::config::CERTIFICATES;
use direct::Direct;
use futures_util::stream::{StreamExt as _, iter};
use naru_cli::registry_access::{CollectRequest, RegistryAccess, RegistryPlace, TagTarget};
use naru_errdefs::{Fault, ResultExt as _};
use naru_transfer::{Credentials, Registries, RegistriesConfig, RegistryHost, Repository};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Requests that are under way at once.
const AT_ONCE: usize = 8;

/// The registry at a place.
pub fn reach(place: RegistryPlace) -> Result<Box<dyn RegistryAccess>, Fault> {
    let (host, insecure, auth) = match place {
        RegistryPlace::Root(root) => return Ok(Box::new(Direct::open(&root)?)),
        RegistryPlace::Host { host, insecure, auth } => (host, insecure, auth),
    };
    let who = if !auth.identitytoken.is_empty() {
        Credentials::IdentityToken(auth.identitytoken)
    } else if !auth.registrytoken.is_empty() {
        Credentials::RegistryToken(auth.registrytoken)
    } else if !auth.username.is_empty() {
        Credentials::Basic { user: auth.username, password: auth.password }
    } else {
        Credentials::Anonymous
    };
    let registries = Registries::new(RegistriesConfig {
        insecure: if insecure { vec![host.clone()] } else { Vec::new() },
        certificates: CERTIFICATES.iter().map(PathBuf::from).collect(),
        // Somebody waits for it at a terminal.
        attempts: 2,
        ..RegistriesConfig::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during(|| "cannot start the event loop".to_owned())?;
    let whole = RegistryHost::new(&registries, &host, &who);
    Ok(Box::new(Remote { runtime, registries, host, who, whole }))
}

/// A registry that listens.
#[derive(Debug)]
struct Remote {
    runtime: tokio::runtime::Runtime,
    registries: Registries,
    host: String,
    who: Credentials,
    whole: RegistryHost,
}

impl Remote {
    fn repository(&self, name: &str) -> Repository {
        Repository::new(&self.registries, &self.host, name, &self.who)
    }

    fn cannot(&self, what: &str, instead: &str) -> Fault {
        Fault::unsupported(format!("`{}` cannot be asked to {what}", self.host)).with_hint(instead)
    }

    /// By the protocol alone: everything that its tags lead to.
    async fn remove_all(&self, name: &str) -> Result<(), Fault> {
        let repository = self.repository(name);
        let tags = repository.tags().await?;
        let heads = iter(&tags).map(|tag| repository.manifest_head(tag)).buffered(AT_ONCE);
        let heads: Vec<_> = heads.collect().await;
        let mut gone = BTreeSet::new();
        for head in heads {
            let digest = head?.digest;
            if gone.insert(digest) {
                repository.remove(&digest.to_string()).await?;
            }
        }
        Ok(())
    }
}

impl RegistryAccess for Remote {
    fn repositories(&self) -> Result<Vec<String>, Fault> {
        self.runtime.block_on(self.whole.repositories())
    }

    fn tags(&self, repository: &str) -> Result<Vec<String>, Fault> {
        self.runtime.block_on(self.repository(repository).tags())
    }

    fn targets(&self, repository: &str, tags: &[String]) -> Vec<Result<TagTarget, Fault>> {
        let repository = self.repository(repository);
        let asked = iter(tags).map(|tag| repository.manifest_head(tag)).buffered(AT_ONCE);
        let told = asked.map(|head| {
            let head = head?;
            Ok(TagTarget { digest: head.digest.to_string(), media_type: head.media_type })
        });
        self.runtime.block_on(told.collect())
    }

    fn remove(&self, repository: &str, reference: &str) -> Result<(), Fault> {
        self.runtime.block_on(self.repository(repository).remove(reference))
    }

    fn remove_repository(&self, repository: &str) -> Result<(), Fault> {
        self.runtime.block_on(async {
            match self.whole.remove_repository(repository).await? {
                Some(_) => Ok(()),
                None => self.remove_all(repository).await,
            }
        })
    }

    fn collect(&self, how: CollectRequest) -> Result<String, Fault> {
        let mut query = format!("?dry-run={}&delete-untagged={}", how.dry_run, how.delete_untagged);
        if let Some(grace) = how.grace {
            query.push_str(&format!("&grace={}", grace.as_secs()));
        }
        self.runtime.block_on(self.whole.collect(&query))?.ok_or_else(|| {
            self.cannot("collect", "this is for Naru's registry; others have commands of their own")
        })
    }

    fn usage(&self) -> Result<String, Fault> {
        self.runtime.block_on(async {
            match self.whole.usage().await? {
                Some(told) => Ok(told),
                None => measure::measure(&self.whole, |name| self.repository(name)).await,
            }
        })
    }
}
