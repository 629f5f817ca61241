//! Opening a store: lock, version, database, rebuild when it is damaged, and the sweep of leftovers.
//!
//! Acts.

mod rebuild;
mod sweep;

pub(crate) use sweep::entries;

use crate::content::Sessions;
use crate::core::Core;
use crate::journal::{Journal, Opened};
use crate::mirror;
use crate::schema::{Layout, STORE_NAME, STORE_VERSION};
use crate::trash::Trash;
use crate::{
    BuildCache, Content, Images, Leases, Records, Repositories, Snapshots, Store, StoreError,
};
use naru_errdefs::{Failure, Kind};
use naru_kernel::fs::{self, Lock, LockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data root `{}` is in use{}", root.display(), holder(*pid))]
    InUse {
        /// The data root.
        root: PathBuf,
        /// Who has it.
        pid: Option<u32>,
    },
    /// It cannot be written.
    #[error("the data root `{}` is read-only", root.display())]
    ReadOnly {
        /// The data root.
        root: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A newer program made it.
    #[error("the store at `{}` has version {found}, and this program knows versions up to {STORE_VERSION}", root.display())]
    Newer {
        /// The data root.
        root: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The version file says something else.
    #[error("`{}` is not the version file of a store", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The database cannot be opened even after it was made anew.
    #[error("cannot open a new database in `{}`: {why}", root.display())]
    Database {
        /// The data root.
        root: PathBuf,
        /// What it said.
        why: String,
    },
    /// A first change could not be written.
    #[error("cannot bring the store at `{}` in order", root.display())]
    Settle {
        /// The data root.
        root: PathBuf,
        /// Why not.
        #[source]
        source: StoreError,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}

impl Failure for OpenError {
    fn kind(&self) -> Kind {
        match self {
            OpenError::InUse { .. } => Kind::Conflict,
            OpenError::ReadOnly { .. } => Kind::Forbidden,
            OpenError::Newer { .. } => Kind::Unsupported,
            OpenError::NotAStore { .. } => Kind::InvalidInput,
            OpenError::Io { source, .. } => crate::error::kind_of_io(source),
            OpenError::Database { .. } => Kind::DataLoss,
            OpenError::Settle { source, .. } => source.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            OpenError::InUse { .. } => Some(
                "stop the other daemon, or give this one a root of its own with `--data-root`"
                    .to_owned(),
            ),
            OpenError::ReadOnly { .. } => {
                Some("make it writable, or name another directory with `--data-root`".to_owned())
            }
            OpenError::Newer { .. } => Some(
                "start a version of naru at least as new as the one that wrote the store"
                    .to_owned(),
            ),
            OpenError::NotAStore { .. } => {
                Some("name an empty directory with `--data-root`".to_owned())
            }
            OpenError::Settle { source, .. } => source.hint(),
            OpenError::Io { .. } | OpenError::Database { .. } => None,
        }
    }
}

pub(crate) fn open(root: &Path) -> Result<Store, OpenError> {
    let layout = Layout::new(root);
    let io = |action, path: &Path| {
        let (root, path) = (root.to_owned(), path.to_owned());
        move |source: io::Error| match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                OpenError::ReadOnly { root, source }
            }
            _ => OpenError::Io { action, path, source },
        }
    };
    make_directory(root).map_err(io("create", root))?;
    // Only directories that are not there are made, so the version is looked at before anything is changed.
    let version = read_version(&layout)?;
    let lock = Lock::acquire(&layout.lock()).map_err(|error| match error {
        LockError::Held(pid) => OpenError::InUse { root: root.to_owned(), pid },
        LockError::Io(source) => io("lock", &layout.lock())(source),
    })?;
    for directory in layout.directories() {
        make_directory(&directory).map_err(io("create", &directory))?;
    }
    match std::fs::DirBuilder::new().mode(0o755).create(layout.empty_lower()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io("create", &layout.empty_lower())(error));
        }
        _ => {}
    }

    let mut notices = Vec::new();
    let (journal, mut damaged) = open_journal(&layout, version.is_some(), &mut notices)?;
    let trash = Trash::open(&layout).map_err(io("read", &layout.trash()))?;
    let settle = |source| OpenError::Settle { root: root.to_owned(), source };
    damaged |= rebuild::compare_images(&layout, &journal, damaged, &mut notices).map_err(settle)?;
    if damaged {
        rebuild::from_disk(&layout, &journal, &mut notices).map_err(settle)?;
    }
    let restored = mirror::settle(&layout, &journal, damaged).map_err(settle)?;
    if restored > 0 {
        notices.push(format!("restored {restored} rows of what the registry's repositories hold"));
    }
    let highest = sweep::sweep(&layout, &journal, &trash).map_err(settle)?;
    if version != Some(STORE_VERSION) {
        let text = format!("{STORE_NAME} {STORE_VERSION}\n");
        fs::write_atomic(&layout.version(), text.as_bytes(), 0o644)
            .map_err(io("write", &layout.version()))?;
    }
    for notice in &notices {
        tracing::warn!("{notice}");
    }
    let sessions = Sessions::found(&layout).map_err(settle)?;
    let core = Arc::new(Core::new(layout, journal, trash, (highest + 1, sessions), lock));
    let store = Store {
        content: Content::new(Arc::clone(&core)),
        images: Images::new(Arc::clone(&core)),
        repositories: Repositories::new(Arc::clone(&core)),
        snapshots: Snapshots::new(Arc::clone(&core)),
        build_cache: BuildCache::new(Arc::clone(&core)),
        leases: Leases::new(Arc::clone(&core)),
        records: Records::new(Arc::clone(&core)),
        core,
        notices: notices.into(),
    };
    store.leases.restore().map_err(settle)?;
    Ok(store)
}

fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(path)
}

/// The version of the store; none when there is no store yet.
fn read_version(layout: &Layout) -> Result<Option<u32>, OpenError> {
    let path = layout.version();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(OpenError::NotAStore { path });
        }
        Err(source) => return Err(OpenError::Io { action: "read", path, source }),
    };
    match text.trim_end().split_once(' ').map(|(name, number)| (name, number.parse::<u32>())) {
        Some((STORE_NAME, Ok(found))) if found > STORE_VERSION => {
            Err(OpenError::Newer { root: layout.root().to_owned(), found })
        }
        Some((STORE_NAME, Ok(found))) if found > 0 => Ok(Some(found)),
        _ => Err(OpenError::NotAStore { path }),
    }
}

/// Opens the database; a damaged one is moved aside. Says whether rows were lost.
fn open_journal(
    layout: &Layout,
    existing: bool,
    notices: &mut Vec<String>,
) -> Result<(Journal, bool), OpenError> {
    let missing = existing && !layout.database_log().is_file();
    let why = if missing {
        "its log is missing".to_owned()
    } else {
        match Journal::open(layout)? {
            Opened::Readable(journal, 0) => return Ok((journal, false)),
            Opened::Readable(journal, lost) => {
                notices.push(format!(
                    "the database of the store at `{}` has lost its last changes ({lost} of them); they are restored from what lies beside it as far as they can be: run `naru system verify`",
                    layout.root().display()
                ));
                return Ok((journal, true));
            }
            Opened::Damaged(damage) => damage.0,
        }
    };
    let database = layout.database();
    if database.exists() {
        let mut aside = layout.damaged_database(crate::core::now());
        for number in 1.. {
            if !aside.exists() {
                break;
            }
            aside = layout.damaged_database(crate::core::now() + number);
        }
        std::fs::rename(&database, &aside).map_err(|source| OpenError::Io {
            action: "move the damaged database aside from",
            path: database.clone(),
            source,
        })?;
        notices.push(format!(
            "the database of the store at `{}` is damaged ({why}); it was moved to `{}` and is rebuilt from what lies beside it: run `naru system verify`",
            layout.root().display(),
            aside.display()
        ));
    } else {
        notices.push(format!(
            "the database of the store at `{}` is missing; it is rebuilt from what lies beside it: run `naru system verify`",
            layout.root().display()
        ));
    }
    match Journal::open(layout)? {
        Opened::Readable(journal, _) => Ok((journal, true)),
        Opened::Damaged(damage) => {
            Err(OpenError::Database { root: layout.root().to_owned(), why: damage.0 })
        }
    }
}
