//! Pure: the list of a cache as it travels: keys, and the layers that they led to.

use naru_errdefs::Fault;
use naru_oci::{Descriptor, DiffId};
use naru_store::CachedStep;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The media type of a list that is a manifest's configuration; the layers are the manifest's.
pub(crate) const CONFIG_TYPE: &str = "application/vnd.naru.buildcache.config.v1+json";
/// The property of an image's configuration that holds the list of its own cache; the layers are the image's.
pub(crate) const INLINE: &str = "naru.buildcache.v1";

/// Keys of one list at most.
const MOST_ENTRIES: usize = 20_000;
/// Unpacked bytes of one layer at most that are believed; no file system here has more.
const MOST_BYTES: u64 = 1 << 48;
const VERSION: u32 = 1;

/// A list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct List {
    /// The version of this shape.
    version: u32,
    /// By key.
    pub(crate) entries: BTreeMap<String, Entry>,
}

/// What a key led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The content of the layer; none when it changed nothing that a layer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) diff_id: Option<DiffId>,
    /// Which of the layers; none when it does not go along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) layer: Option<u32>,
    /// Unpacked bytes.
    #[serde(default)]
    pub(crate) size: u64,
    /// When it was made, in seconds since 1970.
    pub(crate) created: u64,
    /// The key by content, when this one is by where that content comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content_key: Option<String>,
}

impl List {
    /// Reads a list that came from elsewhere.
    pub(crate) fn parse(bytes: &[u8]) -> Result<List, Fault> {
        let list: List = serde_json::from_slice(bytes).map_err(|error| {
            Fault::invalid(format!("the list of the cache is damaged: {error}"))
        })?;
        if list.version != VERSION {
            return Err(Fault::unsupported(format!(
                "the list of the cache has version {}, and {VERSION} is understood",
                list.version
            )));
        }
        if list.entries.len() > MOST_ENTRIES {
            return Err(Fault::invalid(format!(
                "the list of the cache has {} keys, more than the {MOST_ENTRIES} that are taken",
                list.entries.len()
            )));
        }
        if let Some((key, entry)) = list.entries.iter().find(|(_, entry)| entry.size > MOST_BYTES) {
            return Err(Fault::invalid(format!(
                "the list of the cache promises {} bytes for the key {key}",
                entry.size
            )));
        }
        Ok(list)
    }

    /// The list of what a build used and made. `place` says where among the layers that go along a layer is.
    pub(crate) fn of<'a>(
        steps: impl IntoIterator<Item = (&'a String, &'a CachedStep)>,
        mut place: impl FnMut(&Descriptor) -> Option<u32>,
    ) -> List {
        let entry = |step: &CachedStep| Entry {
            diff_id: step.layer.as_ref().map(|layer| layer.diff_id),
            layer: step.layer.as_ref().and_then(|layer| place(&layer.blob)),
            size: step.layer.as_ref().map_or(0, |layer| layer.size),
            created: step.created,
            content_key: step.content_key.clone(),
        };
        let mut entry = entry;
        let entries = steps.into_iter().map(|(key, step)| (key.clone(), entry(step))).collect();
        List { version: VERSION, entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_oci::Digest;

    #[test]
    fn lists_from_elsewhere_are_bounded() {
        let digest = Digest::of(b"x");
        let good = format!(
            r#"{{"version":1,"entries":{{"k":{{"diff_id":"{digest}","layer":0,"size":3,"created":7}},"n":{{"created":1}}}}}}"#
        );
        let list = List::parse(good.as_bytes()).unwrap();
        assert_eq!(list.entries["k"].layer, Some(0));
        assert_eq!(list.entries["n"].diff_id, None);
        for bad in [
            "",
            "[]",
            r#"{"version":2,"entries":{}}"#,
            r#"{"version":1,"entries":{"k":{"size":281474976710657,"created":1}}}"#,
            r#"{"version":1,"entries":{"k":{"diff_id":"sha256:x","created":1}}}"#,
            r#"{"version":1,"entries":{"k":{"created":-1}}}"#,
        ] {
            assert!(List::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let many: Vec<String> =
            (0..=MOST_ENTRIES).map(|number| format!(r#""{number}":{{"created":1}}"#)).collect();
        let many = format!(r#"{{"version":1,"entries":{{{}}}}}"#, many.join(","));
        assert!(List::parse(many.as_bytes()).is_err());
    }
}
