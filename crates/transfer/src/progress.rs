//! Pure: what is told while an archive comes in, in the shape of docker's progress lines.

use naru_oci::Digest;

/// One line of progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done (`Loading layer`).
    pub status: Option<String>,
    /// To what: the short digest of a layer.
    pub id: Option<String>,
    /// Bytes done and to do; zeros on the lines about a layer that count nothing.
    pub detail: Option<(u64, u64)>,
    /// Text for the person at the end, with its newline (`Loaded image: x:latest`).
    pub stream: Option<String>,
    /// What a push led to, for programs.
    pub pushed: Option<Pushed>,
}

/// A tag that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The tag.
    pub tag: String,
    /// What it points to now.
    pub digest: Digest,
    /// How long that is.
    pub size: u64,
}

impl Progress {
    /// A line about one layer.
    pub fn layer(status: &str, id: String, done: u64, total: u64) -> Progress {
        Progress {
            status: Some(status.to_owned()),
            id: Some(id),
            detail: Some((done, total)),
            ..Progress::default()
        }
    }

    /// A line about one layer that counts nothing.
    pub fn about(id: &str, status: &str) -> Progress {
        Progress::layer(status, id.to_owned(), 0, 0)
    }

    /// A line about a whole operation; `id` is the tag it is about.
    pub fn status(status: impl Into<String>, id: Option<&str>) -> Progress {
        Progress { status: Some(status.into()), id: id.map(str::to_owned), ..Progress::default() }
    }

    /// A line of text.
    pub fn text(text: impl Into<String>) -> Progress {
        Progress { stream: Some(text.into() + "\n"), ..Progress::default() }
    }
}

/// Who is told. Layers are unpacked side by side, so it is called from several threads.
pub type Report<'a> = &'a (dyn Fn(Progress) + Sync);
