//! What the repositories of a registry hold that does not tell: added up from what their tags lead to. Acts: asks for every manifest;
//! [`sum`] is pure.

use super::AT_ONCE;
use futures_util::stream::{StreamExt as _, iter};
use naru_errdefs::Fault;
use naru_oci::{Descriptor, Digest, ManifestOrIndex};
use naru_transfer::{RegistryHost, Repository};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What one repository holds, as far as its tags lead to it.
#[derive(Debug, Default)]
struct Found {
    tags: usize,
    manifests: BTreeMap<Digest, u64>,
    blobs: BTreeMap<Digest, u64>,
}

/// The same JSON as a registry that tells would give.
pub(super) async fn measure(
    whole: &RegistryHost,
    repository: impl Fn(&str) -> Repository,
) -> Result<String, Fault> {
    let mut all = BTreeMap::new();
    for name in whole.repositories().await? {
        let found = look(&repository(&name)).await?;
        all.insert(name, found);
    }
    Ok(sum(&all))
}

async fn look(repository: &Repository) -> Result<Found, Fault> {
    let tags = repository.tags().await?;
    let mut found = Found { tags: tags.len(), ..Found::default() };
    let mut open: BTreeSet<String> = tags.into_iter().collect();
    while !open.is_empty() {
        let asked = std::mem::take(&mut open);
        let read = iter(asked).map(async |reference| repository.manifest(&reference).await);
        let read: Vec<_> = read.buffered(AT_ONCE).collect().await;
        for manifest in read {
            let manifest = manifest?;
            let size = u64::try_from(manifest.bytes.len()).unwrap_or(u64::MAX);
            if found.manifests.insert(manifest.digest, size).is_some() {
                continue;
            }
            match ManifestOrIndex::parse(&manifest.bytes)? {
                ManifestOrIndex::Manifest(inside) => {
                    let blobs = inside.layers.iter().chain([&inside.config]);
                    found.blobs.extend(blobs.map(|blob: &Descriptor| (blob.digest, blob.size)));
                }
                ManifestOrIndex::Index(index) => {
                    let children = index.manifests.iter().map(|child| child.digest);
                    let news = children.filter(|digest| !found.manifests.contains_key(digest));
                    open.extend(news.map(|digest| digest.to_string()));
                }
            }
        }
    }
    Ok(found)
}

fn sum(all: &BTreeMap<String, Found>) -> String {
    let mut users: BTreeMap<Digest, (u64, usize)> = BTreeMap::new();
    let parts = |found: &Found| -> BTreeMap<Digest, u64> {
        found.blobs.iter().chain(&found.manifests).map(|(digest, size)| (*digest, *size)).collect()
    };
    for found in all.values() {
        for (digest, size) in parts(found) {
            let (known, count) = users.entry(digest).or_default();
            (*known, *count) = (size, *count + 1);
        }
    }
    let repositories: Vec<_> = all
        .iter()
        .map(|(name, found)| {
            let parts = parts(found);
            let is_unique = |digest: &Digest| users.get(digest).is_some_and(|(_, of)| *of == 1);
            let unique = parts.iter().filter(|(digest, _)| is_unique(digest));
            json!({
                "name": name,
                "tags": found.tags,
                "manifests": found.manifests.len(),
                "blobs": found.blobs.len(),
                "bytes": parts.values().fold(0u64, |sum, size| sum.saturating_add(*size)),
                "unique": unique.fold(0u64, |sum, (_, size)| sum.saturating_add(*size)),
            })
        })
        .collect();
    let bytes = users.values().fold(0u64, |sum, (size, _)| sum.saturating_add(*size));
    json!({ "repositories": repositories, "bytes": bytes, "added_up": true }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_counts_once() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let found = |own: &str, size: u64| Found {
            tags: 1,
            manifests: [(digest(own), 10)].into(),
            blobs: [(digest("shared"), 100), (digest(&format!("{own} layer")), size)].into(),
        };
        let all = [("a".to_owned(), found("a", 1)), ("b".to_owned(), found("b", 2))].into();
        let told: serde_json::Value = serde_json::from_str(&sum(&all)).unwrap();
        assert_eq!((told["bytes"].as_u64(), &told["added_up"]), (Some(123), &true.into()));
        let a = &told["repositories"][0];
        assert_eq!((a["bytes"].as_u64(), a["unique"].as_u64()), (Some(111), Some(11)));
    }
}
