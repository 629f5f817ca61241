//! Pure: builds on the wire: what Naru's own client and daemon say to each other beyond docker's `POST /build`, and the
//! records of the build cache.
//!
//! ```text
//!   client                                     daemon
//!   HEAD /_ping                      ─▶        Naru-Build: 1                       (another daemon says nothing of it)
//!   POST /naru/context  (files)      ─▶        which of them are missing           (only for a directory)
//!   POST /naru/context?contents=ID   ─▶        nothing is missing any more         (only for a further context: `--build-context`)
//!   POST /naru/agents?id=STREAM      ─▶        101; connections to agents of ssh       (only with `--ssh`; see [`crate::agent`])
//!   POST /build
//!     Content-Type: BUILD_BODY       ─▶        first line: BuildExtras, then the archive
//!     Accept:       BUILD_STREAM     ─▶        Content-Type: BUILD_STREAM, one BuildLine a line
//! ```
//!
//! Secrets travel in the body, never in the address, which proxies and logs keep.

use crate::progress::ErrorDetail;
use crate::wire::{Map, wire};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use naru_errdefs::{Fault, Kind, one_line};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether docker takes a text for an address, of a file or of a git repository.
pub fn is_address(text: &str) -> bool {
    ["http://", "https://", "git://", "git@", "ssh://", "github.com/"]
        .iter()
        .any(|start| text.starts_with(start))
}

/// The media type of an answer that tells of single steps, and what a client accepts that reads it.
pub const BUILD_STREAM: &str = "application/vnd.naru.build.v1+json";

/// The media type of a body that begins with a line of [`BuildExtras`].
pub const BUILD_BODY: &str = "application/vnd.naru.build.v1+tar";

/// The header of a daemon that understands both.
pub const BUILD_FEATURE: &str = "Naru-Build";

/// The header with the credentials of all registries that a build may pull from, by registry.
pub const REGISTRY_CONFIG: &str = "X-Registry-Config";

/// Bytes of [`ContextFiles`] at most: some hundred thousand files.
pub const MOST_FILES: usize = 128 << 20;

/// Bytes of the line of [`BuildExtras`] at most: a long Dockerfile, and a few secrets of the half
/// megabyte that BuildKit allows each.
pub const MOST_EXTRAS: usize = 64 << 20;

/// Bytes in base64 on the wire. They may be a secret, so they are not shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Base64(String);

impl Base64 {
    /// Wraps bytes.
    pub fn new(bytes: &[u8]) -> Base64 {
        Base64(STANDARD.encode(bytes))
    }

    /// The bytes; nothing when it is no base64.
    pub fn reveal(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.0).ok()
    }
}

impl fmt::Debug for Base64 {
    /// Never shows a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

wire! {
    /// What a build is asked for that docker's parameters have no words for.
    pub struct BuildExtras {
        /// The Dockerfile, when it is not one of the context.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub dockerfile: Option<DockerfileText>,
        /// The ignore file, when it is not to be looked for in the context; what it says was left out already.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub ignore_file: Option<Base64>,
        /// Secrets by their `id`.
        pub secrets: Map<Base64>,
        /// Agents of ssh that are lent to the build.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub agents: Option<AgentsLent>,
        /// The hosts that whoever builds knows, as `ssh` keeps them; sent when repositories may come by ssh.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub known_hosts: Option<Base64>,
        /// Stages and steps whose cache is not used.
        pub no_cache_filter: Vec<String>,
        /// Where cache comes from, as `type=registry,ref=NAME`.
        pub cache_from: Vec<String>,
        /// Where cache goes to, as `type=inline`.
        pub cache_to: Vec<String>,
        /// Further contexts by name: an image as `docker-image://NAME` or, when it was brought into the store, as
        /// `content:DIGEST`; or the address of an archive or a git repository.
        pub named_contexts: Map<String>,
        /// Further contexts by name whose files were announced, and sent since.
        #[serde(skip_serializing_if = "Map::is_empty")]
        pub named_directories: Map<ContextAnnounced>,
        /// How layers are compressed: `gzip`, `zstd` or `none`.
        pub compression: Option<String>,
        /// How hard.
        pub compression_level: Option<i64>,
        /// Whether a list of what is in the image goes along.
        pub sbom: bool,
        /// Whether a document of how it was made goes along: `min` or `max`.
        pub provenance: Option<String>,
        /// Annotations of the manifest.
        pub annotations: Map<String>,
        /// Rights that `RUN` may ask for: `network.host`, `security.insecure`.
        pub entitlements: Vec<String>,
        /// The files of the context, when they are sent by what they contain.
        pub context: Option<ContextAnnounced>,
    }

    /// A Dockerfile that comes along.
    pub struct DockerfileText {
        /// What messages call it.
        pub name: String,
        /// Its bytes.
        pub text: Base64,
    }

    /// Files that were announced before: see [`ContextFiles`].
    pub struct ContextAnnounced {
        /// What the daemon called them.
        pub id: String,
    }

    /// Agents of ssh on the client's side: see [`crate::agent`].
    pub struct AgentsLent {
        /// What the stream was called that leads to them.
        pub stream: String,
        /// Their `id`s.
        pub ids: Vec<String>,
    }

    /// The files of a context, before any of them is sent.
    pub struct ContextFiles {
        /// All of them, directories before what is in them.
        pub files: Vec<ContextFile>,
    }

    /// One of them.
    pub struct ContextFile {
        /// Its path in the context, without a slash in front.
        pub path: String,
        /// Its mode with the bits of its kind (`st_mode`).
        pub mode: u32,
        /// When it was changed, in nanoseconds since 1970.
        pub modified: i64,
        /// Bytes.
        #[serde(skip_serializing_if = "is_zero")]
        pub size: u64,
        /// What it contains, for regular files.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub digest: String,
        /// Where it leads to, for symbolic links.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub target: String,
        /// Extended attributes, in base64.
        #[serde(skip_serializing_if = "Map::is_empty")]
        pub attributes: Map<Base64>,
    }

    /// What is to be sent of an announced context.
    pub struct ContextMissing {
        /// What the build (or who sends contents) is to name.
        pub id: String,
        /// Indices of files whose content the daemon lacks, rising; each content once.
        pub missing: Vec<u32>,
    }

    /// One record of the build cache.
    pub struct BuildCacheRecord {
        /// Which one.
        #[serde(rename = "ID")]
        pub id: String,
        /// What it was made from.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub parents: Option<Vec<String>>,
        /// What kind of record: `regular`, `source.local`, `exec.cachemount`.
        pub r#type: String,
        /// The step that made it.
        pub description: String,
        /// Whether a build holds it now.
        pub in_use: bool,
        /// Whether an image holds its bytes too.
        pub shared: bool,
        /// Bytes.
        pub size: i64,
        /// When it was made.
        pub created_at: String,
        /// When it was last used.
        pub last_used_at: Option<String>,
        /// How often it was used.
        pub usage_count: i64,
    }

    /// What a prune of the build cache removed.
    pub struct BuildPruneResponse {
        /// Records.
        pub caches_deleted: Option<Vec<String>>,
        /// Bytes.
        pub space_reclaimed: u64,
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One line of the answer to a build that tells of single steps. A line with `failed` ends the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BuildLine {
    /// So many steps are needed.
    Planned {
        /// How many.
        vertices: u64,
    },
    /// A step began.
    Started {
        /// The step's number in this build.
        vertex: u64,
        /// What is shown for it, as `[build 2/4] RUN make`.
        name: String,
    },
    /// A step wrote something.
    Output {
        /// The step's number.
        vertex: u64,
        /// Whether to standard error.
        #[serde(default, skip_serializing_if = "is_false")]
        stderr: bool,
        /// What, with its line ends.
        text: String,
    },
    /// How far a step got with something that is counted.
    Progress {
        /// The step's number.
        vertex: u64,
        /// What is on its way.
        what: String,
        /// Bytes so far.
        current: u64,
        /// Bytes in all; 0: not known.
        total: u64,
    },
    /// A step ended.
    Done {
        /// The step's number.
        vertex: u64,
        /// Whether it did not have to run.
        #[serde(default, skip_serializing_if = "is_false")]
        cached: bool,
        /// How long it took, in microseconds.
        took: u64,
        /// Why it failed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Something that may not be meant so.
    Warning {
        /// What.
        message: String,
        /// Where, as `Dockerfile:3`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<String>,
        /// Which build check says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<String>,
    },
    /// The image has this name now.
    Tagged {
        /// The name.
        name: String,
    },
    /// The image is there.
    Built(BuiltImage),
    /// The build failed.
    Failed(ErrorDetail),
}

/// What a build made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltImage {
    /// The image ID: the digest of its configuration.
    pub id: String,
    /// The digest of its manifest (or index).
    pub digest: String,
    /// Bytes of that manifest or index.
    #[serde(default)]
    pub size: u64,
    /// The media type of that.
    #[serde(default)]
    pub media_type: String,
    /// Bytes of all layers, unpacked.
    #[serde(default)]
    pub unpacked: u64,
    /// Whether there was no such image before.
    #[serde(default)]
    pub is_new: bool,
    /// Whether every step came from the cache.
    #[serde(default)]
    pub all_cached: bool,
    /// The digest of the cache that the client was to get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
}

fn is_false(on: &bool) -> bool {
    !*on
}

impl BuildLine {
    /// The end: it failed.
    pub fn failed(fault: &Fault) -> BuildLine {
        BuildLine::Failed(ErrorDetail {
            code: None,
            message: one_line(fault),
            kind: Some(fault.kind().as_str().to_owned()),
            hint: fault.hint().map(str::to_owned),
        })
    }
}

/// The failure that a line tells of.
pub fn failure(detail: &ErrorDetail) -> Fault {
    let kind = detail.kind.as_deref().and_then(Kind::from_wire).unwrap_or(Kind::InvalidInput);
    let fault = Fault::new(kind, detail.message.clone());
    match &detail.hint {
        Some(hint) => fault.with_hint(hint.clone()),
        None => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in ["https://x/y.tar", "git://x/y", "git@github.com:a/b", "github.com/a/b"] {
            assert!(is_address(text), "{text}");
        }
        assert!(!is_address(".") && !is_address("dir/x"));
    }

    #[test]
    fn lines_are_short_and_read_again() {
        for (line, text) in [
            (
                BuildLine::Started { vertex: 1, name: "[1/2] FROM box".to_owned() },
                r#"{"started":{"vertex":1,"name":"[1/2] FROM box"}}"#,
            ),
            (
                BuildLine::Output { vertex: 1, stderr: false, text: "a\n".to_owned() },
                r#"{"output":{"vertex":1,"text":"a\n"}}"#,
            ),
            (
                BuildLine::Done { vertex: 1, cached: true, took: 12, error: None },
                r#"{"done":{"vertex":1,"cached":true,"took":12}}"#,
            ),
            (BuildLine::Tagged { name: "a:b".to_owned() }, r#"{"tagged":{"name":"a:b"}}"#),
        ] {
            assert_eq!(serde_json::to_string(&line).unwrap(), text);
            assert_eq!(serde_json::from_str::<BuildLine>(text).unwrap(), line);
        }
    }

    #[test]
    fn a_failure_keeps_its_kind_and_its_hint() {
        let fault = Fault::not_found("no such stage `x`").with_hint("the stages are `a`");
        let BuildLine::Failed(detail) = BuildLine::failed(&fault) else { panic!() };
        let again = failure(&detail);
        assert_eq!(
            (again.kind(), again.message(), again.hint()),
            (Kind::NotFound, "no such stage `x`", Some("the stages are `a`"))
        );
    }

    #[test]
    fn secrets_do_not_show() {
        let mut extras = BuildExtras::default();
        extras.secrets.insert("token".to_owned(), Base64::new(b"hunter2"));
        assert!(!format!("{extras:?}").contains(&STANDARD.encode("hunter2")));
        assert!(!format!("{extras:?}").contains("hunter2"));
        let text = serde_json::to_string(&extras).unwrap();
        let again: BuildExtras = serde_json::from_str(&text).unwrap();
        assert_eq!(again.secrets.get("token").unwrap().reveal().unwrap(), b"hunter2");
    }
}
