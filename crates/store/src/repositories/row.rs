//! Pure: the rows of repositories.

use crate::row::Row;
use naru_oci::{Descriptor, Digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a member of a repository is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberKind {
    /// A layer, a config, or anything else.
    Blob,
    /// A manifest or an index.
    Manifest,
}

/// A member of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// What it is.
    pub kind: MemberKind,
    /// Its length in bytes; zero in rows of version 1, which did not say.
    pub size: u64,
    /// When it was last added, in seconds since 1970; zero in rows of version 1. Set by [`crate::Batch::put_member`].
    #[serde(default)]
    pub added: u64,
    /// The media type that a manifest was pushed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What a manifest is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
    /// The kind of artifact that a manifest says it is; that of its config when it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Member {
    /// A blob.
    pub fn blob(size: u64) -> Member {
        Member {
            kind: MemberKind::Blob,
            size,
            added: 0,
            media_type: None,
            subject: None,
            artifact_type: None,
        }
    }

    /// A manifest or an index that is about nothing else.
    pub fn manifest(media_type: impl Into<String>, size: u64) -> Member {
        Member {
            kind: MemberKind::Manifest,
            media_type: Some(media_type.into()),
            ..Member::blob(size)
        }
    }
}

impl Row for Member {
    const VERSION: u8 = 2;

    /// Version 1 said only what it is.
    fn upgrade(_from: u8, value: Value) -> Value {
        json!({ "kind": value, "size": 0 })
    }
}

/// What a tag points to, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tagged {
    /// The manifest.
    pub target: Descriptor,
    /// Seconds since 1970; zero in rows of version 1, which did not say.
    pub tagged: u64,
}

impl Tagged {
    /// What the bytes of a row say; none when they are no such row.
    pub(crate) fn read(bytes: &[u8]) -> Option<Tagged> {
        Tagged::from_bytes(bytes).ok()
    }
}

impl Row for Tagged {
    const VERSION: u8 = 2;

    /// Version 1 was the descriptor alone.
    fn upgrade(_from: u8, value: Value) -> Value {
        json!({ "target": value, "tagged": 0 })
    }
}

/// That a manifest is about another one is all in the key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReferrerRow {}

impl Row for ReferrerRow {
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_first_version_are_read() {
        let member = Member::from_bytes(b"\x01\"manifest\"").unwrap();
        assert_eq!((member.kind, member.size, member.added), (MemberKind::Manifest, 0, 0));
        let target = Descriptor::new("m", Digest::of(b""), 3);
        let mut old = vec![1];
        serde_json::to_writer(&mut old, &target).unwrap();
        assert_eq!(Tagged::from_bytes(&old).unwrap(), Tagged { target, tagged: 0 });
    }
}
