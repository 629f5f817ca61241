//! Acts: a container's whole root as the kernel shows it, without anybody else seeing it: mounted nowhere.

use crate::record::Record;
use crate::supervisor::Supervisor;
use naru_errdefs::{Fault, ResultExt};
use naru_kernel::overlay::{MOST_LAYERS, read_only};
use naru_kernel::path::{OFlags, open_in_root, proc_path};
use naru_layer::{ArchiveMode, Limits};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

impl Supervisor {
    /// The layers of a container's image and what it wrote, read-only, mounted nowhere. `None` when there are none.
    pub(crate) fn mount_quietly(&self, record: &Record) -> Result<Option<OwnedFd>, Fault> {
        let paths = self.storage.paths(record)?;
        let layers: Vec<PathBuf> = std::iter::once(paths.upper).chain(paths.lower).collect();
        overlay(&layers)
            .map(Some)
            .map_err(|fault| fault.context(format!("cannot look into container {}", record.id)))
    }

    /// The layers of a container's image alone. `None` when there are none.
    pub(crate) fn mount_image_quietly(&self, record: &Record) -> Result<Option<OwnedFd>, Fault> {
        match self.storage.paths(record)?.lower {
            none if none.is_empty() => Ok(None),
            lower => overlay(&lower).map(Some),
        }
    }
}

/// Directories put on top of each other, the first on top, read-only and mounted nowhere.
pub(crate) fn overlay(layers: &[PathBuf]) -> Result<OwnedFd, Fault> {
    if layers.len() > MOST_LAYERS {
        return Err(Fault::unsupported(format!(
            "the image has {} layers, more than the {MOST_LAYERS} that can be put together",
            layers.len()
        )));
    }
    read_only(layers).during(|| match layers {
        [single] => format!("cannot mount `{}`", single.display()),
        _ => "cannot put layers together".to_owned(),
    })
}

/// Copies a directory below `root` with everything in it to an empty directory; nothing happens when there is none.
pub(crate) fn copy(root: &OwnedFd, inside: &str, target: &Path) -> Result<(), Fault> {
    let source = match open_in_root(root, inside, OFlags::PATH | OFlags::DIRECTORY) {
        Ok(source) => source,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(());
        }
        Err(error) => return Err(Fault::io(format!("cannot open `{inside}` of the image"), error)),
    };
    let (reader, writer) =
        io::pipe().during(|| "cannot make a pipe to copy a directory".to_owned())?;
    let path = proc_path(source.as_fd());
    std::thread::scope(|scope| {
        let archiving = scope.spawn(|| naru_layer::archive_tree(&path, writer, ArchiveMode::Plain));
        let mut reader = io::BufReader::new(reader);
        let applied = naru_layer::apply_plain(&mut reader, target, &Limits::standard());
        // Whoever writes must not wait for whoever has given up.
        let drained = io::copy(&mut reader.by_ref(), &mut io::sink());
        drop(reader);
        match archiving.join() {
            Ok(Ok(_archived)) => {}
            Ok(Err(error)) => return applied.map(drop).map_err(Fault::from).and(Err(error.into())),
            Err(_panicked) => return Err(Fault::internal("a thread was lost")),
        }
        applied?;
        drained.during(|| "cannot copy a directory".to_owned())?;
        Ok(())
    })
}
