//! Acts: takes an archive in: documents into memory, everything else into the content store, hashed as it passes.

use crate::early::Queue;
use crate::error::LoadError;
use crate::layout::{Contents, StoredBlob, blob_path};
use crate::progress::{Progress, Report};
use naru_errdefs::{Fault, ResultExt};
use naru_kernel::node::{self, NodeKind};
use naru_kernel::path::{OFlags, open_directory, open_entry};
use naru_layer::tar::{EntryKind, Reader};
use naru_layer::{Compression, Limits};
use naru_oci::{Digest, media_type};
use naru_store::{Content, LeaseId};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The longest document; Docker and registries have the same bound for manifests.
const DOCUMENT_LIMIT: u64 = 4 << 20;
/// All documents together.
const DOCUMENTS_LIMIT: u64 = 64 << 20;
/// Files and links of one archive; it has a few for each layer.
const MOST_FILES: usize = 100_000;
/// Pieces in which files are read.
const PIECE: usize = 256 * 1024;
/// Documents that say what the archive is.
const DECISIVE: [&str; 4] = ["manifest.json", "index.json", "oci-layout", "repositories"];

/// Where an archive comes from.
pub enum Source<'a> {
    /// A tar stream, compressed or not.
    Stream(Box<dyn Read + Send + 'a>),
    /// A directory with an OCI layout, or with an archive that was unpacked.
    Directory(PathBuf),
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Stream(_) => f.write_str("Source::Stream"),
            Source::Directory(path) => f.debug_tuple("Source::Directory").field(path).finish(),
        }
    }
}

/// Takes everything in; blobs are held by the lease, and go to the queue to be unpacked early.
pub(crate) fn collect(
    source: Source<'_>,
    content: &Content,
    lease: &LeaseId,
    report: Report<'_>,
    queue: Option<&mut Queue>,
) -> Result<Contents, Fault> {
    let mut collector =
        Collector { content, lease, report, queue, contents: Contents::default(), documents: 0 };
    match source {
        Source::Stream(input) => {
            let (compression, input) = Compression::peek(input)?;
            // The archive is not kept: what it may grow to is bounded layer by layer.
            let limits = Limits { unpacked: u64::MAX, ..Limits::standard() };
            let decoder = compression
                .decoder(input, &limits)
                .during(|| "cannot read the archive".to_owned())?;
            collector.tar(Reader::new(BufReader::with_capacity(PIECE, decoder)))?;
        }
        Source::Directory(path) => {
            let dir =
                open_directory(&path).during(|| format!("cannot open `{}`", path.display()))?;
            collector.directory(&dir, &path, Path::new(""))?;
        }
    }
    Ok(collector.contents)
}

struct Collector<'a> {
    content: &'a Content,
    lease: &'a LeaseId,
    report: Report<'a>,
    /// Takes blobs that may be layers, unless nothing is to be unpacked.
    queue: Option<&'a mut Queue>,
    contents: Contents,
    documents: u64,
}

impl Collector<'_> {
    fn tar<R: BufRead>(&mut self, mut archive: Reader<R>) -> Result<(), Fault> {
        while let Some(entry) = archive.next_entry()? {
            let Some(name) = clean(&entry.name) else { continue };
            match &entry.kind {
                EntryKind::File => self.file(&name, entry.stored, &mut archive.body())?,
                EntryKind::Link(target) => {
                    let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
                    let target = String::from_utf8_lossy(target);
                    let target = if target.starts_with('/') {
                        target.into_owned()
                    } else {
                        format!("{parent}/{target}")
                    };
                    self.link(name, clean(target.as_bytes()))?;
                }
                EntryKind::HardLink(target) => self.link(name, clean(target))?,
                // Nothing else belongs to an image.
                EntryKind::Directory
                | EntryKind::Fifo
                | EntryKind::CharDevice(..)
                | EntryKind::BlockDevice(..) => {}
            }
        }
        Ok(())
    }

    fn directory(&mut self, dir: impl AsFd, root: &Path, path: &Path) -> Result<(), Fault> {
        let dir = dir.as_fd();
        let read = || format!("cannot read `{}`", root.join(path).display());
        if path.components().count() > 3 {
            return Ok(());
        }
        for name in node::list(dir).during(read)? {
            let full = path.join(&name);
            let status = node::status_at(dir, &name).during(read)?;
            let Some(text) = full.to_str() else { continue };
            match status.kind {
                NodeKind::Directory => {
                    let inner =
                        open_entry(dir, &name, OFlags::RDONLY | OFlags::DIRECTORY).during(read)?;
                    self.directory(&inner, root, &full)?;
                }
                NodeKind::File => {
                    let mut file = File::from(open_entry(dir, &name, OFlags::RDONLY).during(read)?);
                    self.file(text, status.size, &mut file)?;
                }
                NodeKind::Link => {
                    let target = node::read_link(dir, &name).during(read)?;
                    let target = path.join(target);
                    self.link(text.to_owned(), clean(target.as_os_str().as_encoded_bytes()))?;
                }
                NodeKind::CharDevice
                | NodeKind::BlockDevice
                | NodeKind::Fifo
                | NodeKind::Socket => {}
            }
        }
        Ok(())
    }

    fn link(&mut self, name: String, target: Option<String>) -> Result<(), Fault> {
        self.count()?;
        // A link that leaves the archive leads to nothing; what refers to it is then missing.
        if let Some(target) = target.filter(|target| *target != name) {
            self.contents.links.insert(name, target);
        }
        Ok(())
    }

    fn count(&self) -> Result<(), LoadError> {
        let known =
            self.contents.documents.len() + self.contents.blobs.len() + self.contents.links.len();
        match known < MOST_FILES {
            true => Ok(()),
            false => Err(LoadError::TooLarge {
                name: "the list of files".to_owned(),
                limit: MOST_FILES as u64,
            }),
        }
    }

    fn file(&mut self, name: &str, size: u64, data: &mut dyn Read) -> Result<(), Fault> {
        self.count()?;
        let reading = || format!("cannot read `{name}` of the archive");
        let is_decisive = DECISIVE.contains(&name);
        if is_decisive && size > DOCUMENT_LIMIT {
            return Err(LoadError::TooLarge { name: name.to_owned(), limit: DOCUMENT_LIMIT }.into());
        }
        if is_decisive && self.contents.documents.contains_key(name) {
            return Err(LoadError::Twice { name: name.to_owned() }.into());
        }
        // Old archives have the format's version beside each layer.
        if name.ends_with("/VERSION") {
            return Ok(());
        }
        let mut first = Vec::new();
        (&mut *data).take(512).read_to_end(&mut first).during(reading)?;
        let looks_like_json = !is_tar(&first)
            && first
                .iter()
                .find(|byte| !byte.is_ascii_whitespace())
                .is_some_and(|byte| b"{[".contains(byte));
        if is_decisive || looks_like_json && size <= DOCUMENT_LIMIT {
            data.read_to_end(&mut first).during(reading)?;
            return self.document(name, first);
        }
        self.blob(name, size, &first, data)
    }

    fn document(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), Fault> {
        self.documents += bytes.len() as u64;
        if self.documents > DOCUMENTS_LIMIT {
            return Err(LoadError::TooLarge {
                name: "all JSON documents together".to_owned(),
                limit: DOCUMENTS_LIMIT,
            }
            .into());
        }
        if let Some(expected) = digest_of_path(name) {
            let found = Digest::of_as(expected.algorithm(), &bytes);
            if found != expected {
                return Err(
                    LoadError::WrongDigest { name: name.to_owned(), expected, found }.into()
                );
            }
        }
        self.contents.documents.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn blob(
        &mut self,
        name: &str,
        size: u64,
        first: &[u8],
        data: &mut dyn Read,
    ) -> Result<(), Fault> {
        let storing = || format!("cannot store `{name}` of the archive");
        let expected = digest_of_path(name);
        let id: String = match expected {
            Some(digest) => digest.short(),
            None => name.chars().take(12).collect(),
        };
        let layer_type = match Compression::detect(first) {
            Ok(Compression::None) => media_type::OCI_LAYER,
            Ok(Compression::Gzip) => media_type::OCI_LAYER_GZIP,
            Ok(Compression::Zstd) => media_type::OCI_LAYER_ZSTD,
            Ok(Compression::Xz | Compression::Bzip2) => {
                return Err(Fault::unsupported(format!(
                    "cannot take in `{name}` of the archive: no layer is compressed with xz or bzip2"
                ))
                .with_hint("compress layers with gzip or zstd"));
            }
            Err(error) => {
                return Err(
                    Fault::from(error).context(format!("cannot take in `{name}` of the archive"))
                );
            }
        };
        let mut ingest = self.content.ingest(self.lease)?;
        ingest.write_all(first).during(storing)?;
        let mut done = first.len() as u64;
        let mut told = 0;
        let mut piece = vec![0; PIECE];
        loop {
            let read =
                data.read(&mut piece).during(|| format!("cannot read `{name}` of the archive"))?;
            let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            ingest.write_all(bytes).during(storing)?;
            done += read as u64;
            if done - told >= 1 << 20 {
                told = done;
                (self.report)(Progress::layer("Loading layer", id.clone(), done, size));
            }
        }
        // What was there before has been unpacked before, or is not of this platform.
        let is_new = !self.content.has(&ingest.digest());
        let stored =
            ingest.commit(expected).map_err(|error| Fault::from(error).context(storing()))?;
        (self.report)(Progress::layer("Loading layer", id, done, size.max(done)));
        if is_new
            && (layer_type != media_type::OCI_LAYER || is_tar(first))
            && let Some(queue) = &mut self.queue
        {
            queue.push(stored.digest);
        }
        let blob = StoredBlob { digest: stored.digest, size: stored.size, layer_type };
        self.contents.blobs.insert(name.to_owned(), blob);
        Ok(())
    }
}

/// Whether a file begins with a tar header of any format but the oldest.
fn is_tar(first: &[u8]) -> bool {
    first.get(257..262) == Some(b"ustar")
}

/// A path of the archive without `.` and doubled slashes; `None` for names that cannot be referred to.
fn clean(name: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(name).ok()?;
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    let path = parts.join("/");
    (!path.is_empty() && path.len() <= 1024).then_some(path)
}

/// The digest that a path of an OCI layout stands for.
fn digest_of_path(path: &str) -> Option<Digest> {
    let (algorithm, hex) = path.strip_prefix("blobs/")?.split_once('/')?;
    let digest: Digest = format!("{algorithm}:{hex}").parse().ok()?;
    (blob_path(digest) == path).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn names_are_cleaned() {
        for (name, expected) in [
            ("./a//b/", Some("a/b")),
            ("a/../b", Some("b")),
            ("/a", Some("a")),
            ("../a", None),
            ("", None),
            ("a/../../b", None),
        ] {
            assert_eq!(clean(name.as_bytes()).as_deref(), expected, "{name}");
        }
        assert_eq!(clean(b"\xff"), None);
    }
}
