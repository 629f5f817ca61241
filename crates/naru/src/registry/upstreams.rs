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

/// The cache of a registry, with a client for each upstream. `settings` say which registries may be insecure, where
/// certificates lie, and how many bytes a second all transfers together may take.
pub fn cache(store: &Store, config: &CacheConfig, settings: &Registries) -> Result<Cache, Fault> {
    let mut config = config.clone();
    config.names.extend(settings.config().own.iter().cloned());
    Cache::new(store, &config, |upstream| Ok(Arc::new(Client::new(upstream, settings)?)))
}

/// One upstream.
#[derive(Debug)]
struct Client {
    registries: Registries,
    host: String,
    who: Credentials,
}

impl Client {
    fn new(upstream: &UpstreamConfig, settings: &Registries) -> Result<Client, Fault> {
        let (is_plain, host, _) = upstream.address()?;
        let config = reaching(&host, is_plain, settings.config());
        let who = match &upstream.credentials {
            Some(path) => credentials(path)?,
            None => Credentials::Anonymous,
        };
        Ok(Client { registries: settings.beside(config), host, who })
    }

    fn repository(&self, name: &str) -> Repository {
        Repository::new(&self.registries, &self.host, name, &self.who)
    }
}

/// Pure: how an upstream is reached: trust is what the daemon's own pulls have. Mirrors are left out: one of them may well be this
/// very cache.
fn reaching(host: &str, is_plain: bool, settings: &RegistriesConfig) -> RegistriesConfig {
    let trusted = settings.registries.get(host).is_some_and(|own| own.insecure);
    let own = RegistryConfig { insecure: is_plain || trusted, ..RegistryConfig::default() };
    let certificates = if settings.certificates.is_empty() {
        CERTIFICATES.map(PathBuf::from).to_vec()
    } else {
        settings.certificates.clone()
    };
    RegistriesConfig {
        registries: BTreeMap::from([(host.to_owned(), own)]),
        insecure: settings.insecure.clone(),
        certificates,
        // The cache itself asks again, knows when it need not, and serves what it has meanwhile.
        attempts: 1,
        ..RegistriesConfig::default()
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
    fn an_upstream_is_trusted_as_the_daemon_trusts_it() {
        let insecure = RegistryConfig { insecure: true, mirrors: vec!["http://m".to_owned()] };
        let settings = RegistriesConfig {
            mirrors: vec!["http://127.0.0.1:5000".to_owned()],
            insecure: vec!["10.0.0.0/8".to_owned()],
            certificates: vec!["/certs".into()],
            registries: BTreeMap::from([("r.example".to_owned(), insecure)]),
            ..RegistriesConfig::default()
        };
        let found = reaching("r.example", false, &settings);
        assert!(found.registries["r.example"].insecure);
        assert!(found.mirrors.is_empty() && found.registries["r.example"].mirrors.is_empty());
        assert_eq!(found.insecure, ["10.0.0.0/8"]);
        assert_eq!(found.certificates, [PathBuf::from("/certs")]);
        let found = reaching("other.example", false, &RegistriesConfig::default());
        assert!(!found.registries["other.example"].insecure);
        assert_eq!(found.certificates.len(), 2);
        assert!(reaching("r", true, &settings).registries["r"].insecure);
    }

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
