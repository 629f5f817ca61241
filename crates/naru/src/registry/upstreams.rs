//! The cache's upstreams: its port over the transfer engine's client. Acts.

use crate::config::CERTIFICATES;
use futures_util::stream::{StreamExt as _, once};
use naru_errdefs::{Fault, ResultExt as _};
use naru_oci::Digest;
use naru_registry::cache::{Cache, CacheConfig, UpstreamConfig};
use naru_registry::upstream::{Answer, RetryAfter, Upstream, UpstreamBlob, UpstreamManifest};
use naru_store::Store;
use naru_transfer::{
    AskedPause, Credentials, Registries, RegistriesConfig, RegistryConfig, Repository,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of credentials is no longer.
const CREDENTIALS_LIMIT: u64 = 4096;

/// The cache of a registry, with a client for each upstream.
pub fn cache(store: &Store, config: &CacheConfig) -> Result<Cache, Fault> {
    Cache::new(store, config, |upstream| Ok(Arc::new(Client::new(upstream)?)))
}

/// One upstream.
#[derive(Debug)]
struct Client {
    registries: Registries,
    host: String,
    who: Credentials,
}

impl Client {
    fn new(upstream: &UpstreamConfig) -> Result<Client, Fault> {
        let (is_plain, host, _) = upstream.address()?;
        let settings = RegistryConfig { insecure: is_plain, ..RegistryConfig::default() };
        let config = RegistriesConfig {
            registries: BTreeMap::from([(host.clone(), settings)]),
            certificates: CERTIFICATES.map(PathBuf::from).to_vec(),
            // The cache itself asks again, knows when it need not, and serves what it has meanwhile.
            attempts: 1,
            ..RegistriesConfig::default()
        };
        let who = match &upstream.credentials {
            Some(path) => credentials(path)?,
            None => Credentials::Anonymous,
        };
        Ok(Client { registries: Registries::new(config), host, who })
    }

    fn repository(&self, name: &str) -> Repository {
        Repository::new(&self.registries, &self.host, name, &self.who)
    }
}

/// Reads `USER:PASSWORD` from the first line of a file.
fn credentials(path: &Path) -> Result<Credentials, Fault> {
    let shown = path.display();
    let size = std::fs::metadata(path)
        .during(|| format!("cannot read the credentials in `{shown}`"))?
        .len();
    let text = if size > CREDENTIALS_LIMIT {
        String::new()
    } else {
        std::fs::read_to_string(path)
            .during(|| format!("cannot read the credentials in `{shown}`"))?
    };
    let pair = text.lines().next().and_then(|line| line.split_once(':'));
    match pair {
        Some((user, password)) if !user.is_empty() && !password.is_empty() => {
            Ok(Credentials::Basic { user: user.to_owned(), password: password.to_owned() })
        }
        _ => Err(Fault::invalid(format!("`{shown}` holds no credentials"))
            .with_hint("write USER:PASSWORD into its first line")),
    }
}

/// Makes the pause that a registry asked for visible to the cache.
fn told(fault: Fault) -> Fault {
    let mut seconds = None;
    let mut cause = fault.cause();
    while let Some(error) = cause {
        if let Some(AskedPause(pause)) = error.downcast_ref() {
            seconds = Some(pause.as_secs().max(1));
        }
        cause = error.source();
    }
    match seconds {
        Some(seconds) => {
            let text = naru_errdefs::one_line(&fault);
            Fault::new(fault.kind(), text).with_source(RetryAfter { seconds })
        }
        None => fault,
    }
}

impl Upstream for Client {
    fn manifest<'a>(
        &'a self,
        repository: &'a str,
        reference: &'a str,
        head: bool,
    ) -> Answer<'a, UpstreamManifest> {
        Box::pin(async move {
            let repository = self.repository(repository);
            if head {
                let found = repository.manifest_head(reference).await.map_err(told)?;
                return Ok(UpstreamManifest {
                    media_type: found.media_type,
                    digest: found.digest,
                    bytes: None,
                    size: found.size,
                });
            }
            let found = repository.manifest(reference).await.map_err(told)?;
            let size = found.bytes.len() as u64;
            Ok(UpstreamManifest {
                media_type: found.media_type,
                digest: found.digest,
                bytes: Some(found.bytes),
                size,
            })
        })
    }

    fn blob<'a>(
        &'a self,
        repository: &'a str,
        digest: &'a Digest,
        offset: u64,
    ) -> Answer<'a, UpstreamBlob> {
        Box::pin(async move {
            let blob = self.repository(repository).blob(digest, offset).await.map_err(told)?;
            // An upstream without ranges begins at the beginning.
            let mut skip = offset.saturating_sub(blob.start);
            let bytes = blob.bytes.flat_map(move |piece| {
                once(std::future::ready(piece.map(|mut bytes| {
                    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    let cut = skip.min(length);
                    skip -= cut;
                    bytes.split_off(usize::try_from(cut).unwrap_or(0))
                })))
            });
            Ok((blob.total, bytes.boxed()))
        })
    }

    fn tags<'a>(&'a self, repository: &'a str) -> Answer<'a, Vec<String>> {
        Box::pin(async move { self.repository(repository).tags().await.map_err(told) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn credentials_are_the_first_line_of_a_file() {
        for (text, expected) in [
            ("ann:se:cret\n", Some(("ann", "se:cret"))),
            ("ann:x", Some(("ann", "x"))),
            ("ann", None),
            (":x", None),
            ("", None),
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let expected = expected.map(|(user, password)| Credentials::Basic {
                user: user.to_owned(),
                password: password.to_owned(),
            });
            assert!(credentials(file.path()).ok() == expected, "{text:?}");
        }
    }
}
