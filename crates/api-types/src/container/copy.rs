//! Pure: facts about a path in a container, which travel in a header, and what a container changed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The header that [`PathStat`] travels in.
pub const PATH_STAT_HEADER: &str = "X-Docker-Container-Path-Stat";

/// Bits of Go's `os.FileMode`, in which [`PathStat::mode`] is written.
pub mod go_mode {
    /// A directory.
    pub const DIRECTORY: u32 = 1 << 31;
    /// A symbolic link.
    pub const LINK: u32 = 1 << 27;
    /// A device.
    pub const DEVICE: u32 = 1 << 26;
    /// Something that is none of the known.
    pub const IRREGULAR: u32 = 1 << 19;
}

/// What is at a path in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStat {
    /// The last name of the path.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Permissions and kind; see [`go_mode`].
    pub mode: u32,
    /// When it was last changed, as RFC 3339.
    pub mtime: String,
    /// Where a link leads in the end; else empty.
    #[serde(rename = "linkTarget")]
    pub link_target: String,
}

impl PathStat {
    /// The value of the header.
    pub fn encode(&self) -> String {
        // A struct of texts and numbers always has a JSON form.
        STANDARD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads the value of the header.
    pub fn decode(text: &str) -> Option<PathStat> {
        let bytes = STANDARD.decode(text).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.mode & go_mode::DIRECTORY != 0
    }

    /// Whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.mode & go_mode::LINK != 0
    }
}

/// A path that differs from the image's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesystemChange {
    /// The path.
    #[serde(rename = "Path")]
    pub path: String,
    /// 0: modified, 1: added, 2: deleted.
    #[serde(rename = "Kind")]
    pub kind: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_travel_as_docker_writes_them() {
        let stat = PathStat {
            name: "f".into(),
            size: 2,
            mode: 0o644,
            mtime: "2023-11-14T22:13:20Z".into(),
            link_target: String::new(),
        };
        let text = String::from_utf8(STANDARD.decode(stat.encode()).unwrap()).unwrap();
        assert_eq!(
            text,
            r#"{"name":"f","size":2,"mode":420,"mtime":"2023-11-14T22:13:20Z","linkTarget":""}"#
        );
        assert_eq!(PathStat::decode(&stat.encode()), Some(stat));
        assert_eq!(PathStat::decode("no"), None);
        assert!(PathStat { mode: 2_147_484_141, ..PathStat::default() }.is_directory());
        assert!(PathStat { mode: 134_218_239, ..PathStat::default() }.is_link());
    }
}
