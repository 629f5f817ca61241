//! Pure: what is told while an archive comes in, in the shape of docker's progress lines.

/// One line of progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done (`Loading layer`).
    pub status: Option<String>,
    /// To what: the short digest of a layer.
    pub id: Option<String>,
    /// Bytes done and to do.
    pub detail: Option<(u64, u64)>,
    /// Text for the person at the end, with its newline (`Loaded image: x:latest`).
    pub stream: Option<String>,
}

impl Progress {
    /// A line about one layer.
    pub fn layer(status: &str, id: String, done: u64, total: u64) -> Progress {
        Progress {
            status: Some(status.to_owned()),
            id: Some(id),
            detail: Some((done, total)),
            stream: None,
        }
    }

    /// A line of text.
    pub fn text(text: impl Into<String>) -> Progress {
        Progress { stream: Some(text.into() + "\n"), ..Progress::default() }
    }
}

/// Who is told. Layers are unpacked side by side, so it is called from several threads.
pub type Report<'a> = &'a (dyn Fn(Progress) + Sync);
