//! Acts: a directory of changes becomes a layer: archived, hashed and compressed in one pass, made durable, recorded.

use crate::LayerCompression;
use naru_errdefs::{Fault, ResultExt};
use naru_kernel::path::{OFlags, open_directory, open_entry};
use naru_kernel::times::FileTime;
use naru_kernel::{node, times};
use naru_layer::{ArchiveMode, Level, ParallelEncoder, archive_tree};
use naru_oci::{Algorithm, ChainId, Descriptor, DiffId, Digest, Digester, media_type};
use naru_store::{Batch, Begin, Blob, CachedLayer, CachedStep, Ingest, Lease, Pending, Store};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

impl LayerCompression {
    fn level(self) -> Level {
        match self {
            LayerCompression::None => Level::None,
            LayerCompression::Gzip { level } => Level::Gzip(level),
            LayerCompression::Zstd { level } => Level::Zstd(level),
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            LayerCompression::None => media_type::OCI_LAYER,
            LayerCompression::Gzip { .. } => media_type::OCI_LAYER_GZIP,
            LayerCompression::Zstd { .. } => media_type::OCI_LAYER_ZSTD,
        }
    }
}

/// A directory that is filled with what a vertex changes. Dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Changes {
    pending: Pending,
}

impl Changes {
    /// An empty directory in the store.
    pub(crate) fn begin(store: &Store, lease: &Lease, seed: &str) -> Result<Changes, Fault> {
        // What it will be called is known when it is full; under this name nothing is ever committed.
        let name = format!("changes of a build: {seed} {}", random()?);
        let chain = ChainId(Digest::of(name.as_bytes()));
        match store.snapshots.begin(chain, None, lease.id())? {
            Begin::Pending(pending) => Ok(Changes { pending }),
            Begin::AlreadyThere => Err(Fault::internal("a snapshot has the name of another")),
        }
    }

    /// Where it is.
    pub(crate) fn dir(&self) -> std::path::PathBuf {
        self.pending.dir()
    }
}

pub(crate) fn random() -> Result<String, Fault> {
    let bytes = naru_kernel::random::bytes::<16>()
        .map_err(|error| Fault::io("cannot get random bytes", error))?;
    Ok(Digest::of(&bytes).hex())
}

/// What is known of a layer besides its files.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// What made it.
    pub(crate) description: String,
    /// Seconds since 1970.
    pub(crate) now: u64,
    /// How its blob is compressed.
    pub(crate) compression: LayerCompression,
    /// No time in it is younger than this.
    pub(crate) epoch: Option<u64>,
}

/// Makes a layer of changes on top of a file system, and records it under the keys of its vertex. All of it is durable
/// when this returns.
pub(crate) fn commit(
    store: &Store,
    lease: &Lease,
    changes: Changes,
    parent: Option<ChainId>,
    about: &About,
    keys: &[String],
) -> Result<CachedStep, Fault> {
    if let Some(epoch) = about.epoch {
        let limit = FileTime { seconds: i64::try_from(epoch).unwrap_or(i64::MAX), nanoseconds: 0 };
        let root = open_directory(changes.dir()).during(|| "cannot open a layer".to_owned())?;
        set_back(root.as_fd(), limit).during(|| "cannot set the times of a layer".to_owned())?;
    }
    let ingest = store.content.ingest(lease.id())?;
    let encoder = ParallelEncoder::new(ingest, about.compression.level());
    let mut hashing = Hashing { digester: Digester::new(Algorithm::Sha256), output: encoder };
    let mut buffered = io::BufWriter::with_capacity(256 << 10, &mut hashing);
    let archived = archive_tree(&changes.dir(), &mut buffered, ArchiveMode::OverlayUpper)?;
    buffered.flush().during(|| "cannot write a layer".to_owned())?;
    drop(buffered);
    let diff_id = DiffId(hashing.digester.finish());
    let ingest: Ingest = hashing.output.finish().during(|| "cannot write a layer".to_owned())?;
    let chain = ChainId::on(parent, diff_id);
    let made = |blob: &Blob| CachedStep {
        chain: Some(chain),
        parent,
        layer: Some(CachedLayer {
            blob: Descriptor::new(about.compression.media_type(), blob.digest, blob.size),
            diff_id,
            size: archived.content,
        }),
        description: about.description.clone(),
        created: about.now,
        last_used: about.now,
        uses: 0,
        content_key: None,
    };
    let record = |blob: &Blob, batch: &mut Batch| {
        let made = made(blob);
        for key in keys {
            let content_key = keys.first().filter(|first| *first != key).cloned();
            batch.put_cached_step(key, &CachedStep { content_key, ..made.clone() });
        }
    };
    let blob = match store.snapshots.begin(chain, parent, lease.id())? {
        Begin::Pending(pending) => {
            let (from, to) = (changes.dir(), pending.dir());
            std::fs::rename(&from, &to).during(|| format!("cannot move `{}`", from.display()))?;
            store.snapshots.commit_layer(ingest, pending, archived.content, &record)?
        }
        Begin::AlreadyThere => ingest.commit_with(None, record)?,
    };
    Ok(made(&blob))
}

/// Sets every younger time back. Directories last, because what is in them does not change any more then.
fn set_back(dir: BorrowedFd<'_>, limit: FileTime) -> io::Result<()> {
    for name in node::list(dir)? {
        let status = node::status_at(dir, &name)?;
        if status.kind == node::NodeKind::Directory {
            let inner = open_entry(dir, &name, OFlags::RDONLY | OFlags::DIRECTORY)?;
            set_back(inner.as_fd(), limit)?;
        } else if status.modified > limit && !status.is_whiteout() {
            times::set_at(dir, &name, limit, limit)?;
        }
    }
    if node::status(dir)?.modified > limit {
        times::set(dir, limit, limit)?;
    }
    Ok(())
}

struct Hashing<W> {
    digester: Digester,
    output: W,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.digester.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// The layer of a vertex that was made on nothing, on top of a file system: the same files under another name. Answers
/// what that is called.
pub(crate) fn rebase(
    store: &Store,
    lease: &Lease,
    made: &CachedStep,
    parent: ChainId,
) -> Result<ChainId, Fault> {
    let Some((layer, from)) = made.layer.as_ref().zip(made.chain) else { return Ok(parent) };
    let chain = parent.then(layer.diff_id);
    if let Begin::Pending(pending) = store.snapshots.begin(chain, Some(parent), lease.id())? {
        let failed = || "cannot link the files of a layer".to_owned();
        let from = store.snapshots.lower_dirs(&from)?;
        let from = from.first().ok_or_else(|| Fault::internal("a layer has no files"))?;
        let from = open_directory(from).during(failed)?;
        let to = open_directory(pending.dir()).during(failed)?;
        link_tree(from.as_fd(), to.as_fd()).during(failed)?;
        store.snapshots.commit_all(vec![(pending, layer.size)])?;
    }
    Ok(chain)
}

/// The same tree once more: directories made anew, everything else by links.
pub(crate) fn link_tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    for name in node::list(from)? {
        let status = node::status_at(from, &name)?;
        if status.kind == node::NodeKind::Directory {
            node::make_directory(to, &name, 0o700)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let (inner_from, inner_to) =
                (open_entry(from, &name, flags)?, open_entry(to, &name, flags)?);
            link_tree(inner_from.as_fd(), inner_to.as_fd())?;
        } else {
            node::hard_link(from, &name, to, &name)?;
        }
    }
    let status = node::status(from)?;
    node::set_owner(to, status.uid, status.gid)?;
    node::set_mode(to, status.mode)?;
    for name in naru_kernel::xattr::list(from)? {
        let value = naru_kernel::xattr::get(from, &name)?;
        match naru_kernel::xattr::set(to, &name, &value) {
            Err(error) if !naru_kernel::xattr::is_unsupported(&error) => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    times::set(to, status.modified, status.modified)
}
