//! Acts: a volume's content to a tar stream and back, with owners, modes, attributes and links.

use super::Volumes;
use super::driver::Backing;
use crate::streams::ExportStream;
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_kernel::node;
use naru_kernel::path::proc_path;
use naru_layer::{ArchiveMode, Limits};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use tokio::io::AsyncRead;
use tokio_util::io::SyncIoBridge;

/// The tar stream of a volume's content, in pieces.
pub type VolumeArchive = ExportStream;

impl Volumes {
    /// A volume's content as a tar stream.
    pub async fn backup(&self, name: &str) -> Result<VolumeArchive, Fault> {
        let wanted = name.to_owned();
        let (hold, root) = self
            .inner
            .blocking(move |inner| {
                let hold = inner.volumes.hold_known(&wanted)?;
                let record = inner.volumes.get(&wanted).ok_or_else(|| super::missing(&wanted))?;
                let root = inner.open_volume(&record)?;
                Ok((hold, root))
            })
            .await?;
        Ok(crate::streams::archive(&self.inner.runtime, move |out| {
            let path = proc_path(root.as_fd());
            let archived = naru_layer::archive_tree(&path, out, ArchiveMode::Plain)?;
            for note in &archived.notes {
                tracing::info!(volume = hold.name, "left out of the archive: {note}");
            }
            Ok(())
        }))
    }

    /// Puts what a tar holds in the place of a volume's content. Refused while containers have the volume, unless
    /// `force` says that they do not mind.
    pub async fn restore(
        &self,
        name: &str,
        archive: impl AsyncRead + Send + Unpin + 'static,
        force: bool,
    ) -> Result<(), Fault> {
        let name = name.to_owned();
        self.inner
            .blocking(move |inner| {
                let hold = if force {
                    inner.volumes.hold_known(&name)?
                } else {
                    inner.volumes.hold_alone(&name, || inner.volume_users(&name, ""))?
                };
                let users = inner.volume_users(&name, "");
                let record = inner.volumes.get(&name).ok_or_else(|| super::missing(&name))?;
                if let Ok(Backing::FileSystem(new)) = super::backing(&record)
                    && new.volatile
                    && users.is_empty()
                {
                    return Err(Fault::new(
                        Kind::Unsupported,
                        format!("restore {name}: it lives in memory, and only while a container runs with it"),
                    )
                    .with_hint("start a container with it and use `--force`"));
                }
                let archive = SyncIoBridge::new(archive);
                let plain = matches!(super::backing(&record)?, Backing::Directory);
                inner.volumes.alone(&hold.name, || {
                    // What somebody may have mounted keeps its directory.
                    if plain && !force {
                        inner.volumes.replace(&hold.name, |part| unpack(archive, part))
                    } else {
                        let root = inner.open_volume(&record)?;
                        in_place(&root, archive)
                    }
                    .map_err(|fault| fault.context(format!("cannot restore volume `{name}`")))
                })
            })
            .await
    }
}

/// Unpacks an archive into an empty directory.
fn unpack(archive: impl Read + Send, directory: &Path) -> Result<(), Fault> {
    let mut archive = BufReader::new(archive);
    let start = archive.fill_buf().during(|| "cannot read the archive".to_owned())?;
    if start.is_empty() {
        return Err(Fault::invalid("the archive is empty"));
    }
    let applied = naru_layer::apply_plain(&mut archive, directory, &Limits::standard())?;
    if !applied.changes.has_end_mark {
        return Err(Fault::invalid("the archive is cut off: it has no end mark"));
    }
    if let Some(link) = applied.changes.deferred_links.first() {
        return Err(Fault::invalid(format!(
            "`{}` is a hard link to `{}`, which the archive does not hold",
            link.path.display(),
            link.target.display()
        )));
    }
    naru_kernel::fs::syncfs(directory).during(|| "cannot sync the volume".to_owned())
}

/// Empties a directory that others look at and unpacks an archive into it. The first bytes are looked at before anything
/// is lost.
fn in_place(root: &OwnedFd, archive: impl Read + Send) -> Result<(), Fault> {
    let failed = || "cannot empty the volume".to_owned();
    let directory = naru_kernel::path::open_directory(proc_path(root.as_fd())).during(failed)?;
    let mut archive = BufReader::new(archive);
    let start = archive.fill_buf().during(|| "cannot read the archive".to_owned())?;
    if start.is_empty() {
        return Err(Fault::invalid("the archive is empty"));
    }
    for name in node::list(&directory).during(failed)? {
        node::remove_all(&directory, Path::new(&name)).during(failed)?;
    }
    unpack(archive, &proc_path(directory.as_fd()))
}
