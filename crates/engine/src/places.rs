//! Acts: where the files of containers and volumes lie.
//!
//! ```text
//! <data root>/containers/<id>/<id>-json.log[.1, .2]     what it wrote
//!                            /hostname, hosts, resolv.conf   of one that stays when it ends
//! <data root>/volumes/<name>/_data                      a volume
//!                       /unfinished                 it is not recorded yet, or no longer
//!                       /part                       being filled
//!                  /.gone-<random>                  being removed
//! <exec root>/containers/<id>/record.json               the record of a container that goes when it ends
//!                            /exit.json                 an exit that no daemon was there to hear of
//!                            /hostname, hosts, resolv.conf   of a container that goes when it ends
//!                            /network.json              its networks while it runs
//!                            /shm                       shared memory that other containers may join
//! <exec root>/mounts/<name>                             the number of the file system mounted for a volume
//! <exec root>/boot                                      the boot in which all of this was written
//! ```

use crate::record::Record;
use naru_errdefs::{Fault, ResultExt};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where the files of containers and volumes lie.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    data_root: PathBuf,
    exec_root: PathBuf,
}

/// Makes a directory and those above it, for root's eyes only.
pub(crate) fn make_private(path: &Path) -> Result<(), Fault> {
    make(path, 0o700)
}

fn make(path: &Path, mode: u32) -> Result<(), Fault> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .during(|| format!("cannot make the directory `{}`", path.display()))
}

impl Places {
    /// The places under these two roots. Nothing is made yet.
    pub(crate) fn at(data_root: &Path, exec_root: &Path) -> Places {
        Places { data_root: data_root.to_owned(), exec_root: exec_root.to_owned() }
    }

    /// Makes what is missing, and clears away what an earlier boot of the host has left under the exec root.
    pub(crate) fn prepare(&self) -> Result<(), Fault> {
        make(&self.exec_root, 0o711)?;
        make(&self.data_root.join("containers"), 0o710)?;
        make(&self.data_root.join("volumes"), 0o701)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let mark = self.exec_root.join("boot");
        if fs::read_to_string(&mark).unwrap_or_default() != boot {
            remove_tree(&self.exec_root.join("containers"))?;
            remove_tree(&self.mounts())?;
            naru_kernel::fs::write_replace(&mark, boot.as_bytes(), 0o600)
                .during(|| format!("cannot write `{}`", mark.display()))?;
        }
        make(&self.exec_root.join("containers"), 0o700)
    }

    /// The data root.
    pub(crate) fn data_root(&self) -> &Path {
        &self.data_root
    }

    /// The monitor's socket.
    pub(crate) fn monitor_socket(&self) -> PathBuf {
        self.exec_root.join("monitor.sock")
    }

    /// What a container has on disk.
    pub(crate) fn container(&self, id: &str) -> PathBuf {
        self.data_root.join("containers").join(id)
    }

    /// A container's log.
    pub(crate) fn log(&self, id: &str) -> PathBuf {
        self.container(id).join(format!("{id}-json.log"))
    }

    /// A file that is mounted into a container.
    pub(crate) fn file(&self, record: &Record, name: &str) -> PathBuf {
        // Written for every run: no disk is troubled for one that leaves nothing.
        let place = if record.is_ephemeral() {
            self.running(&record.id)
        } else {
            self.container(&record.id)
        };
        place.join(name)
    }

    /// What a container has as long as the host is up.
    pub(crate) fn running(&self, id: &str) -> PathBuf {
        self.exec_root.join("containers").join(id)
    }

    /// The record of a container that goes when it ends.
    pub(crate) fn ephemeral_record(&self, id: &str) -> PathBuf {
        self.running(id).join("record.json")
    }

    /// The exit that no daemon was there to hear of.
    pub(crate) fn exit_record(&self, id: &str) -> PathBuf {
        self.running(id).join("exit.json")
    }

    /// The note of a running container's networks.
    pub(crate) fn network(&self, id: &str) -> PathBuf {
        self.running(id).join("network.json")
    }

    /// Shared memory that other containers may join.
    pub(crate) fn shared_memory(&self, id: &str) -> PathBuf {
        self.running(id).join("shm")
    }

    /// A volume's directory.
    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.volume_place(name).join("_data")
    }

    /// What a volume's directory is in.
    pub(crate) fn volume_place(&self, name: &str) -> PathBuf {
        self.data_root.join("volumes").join(name)
    }

    /// The mark of a volume whose container is not recorded yet.
    pub(crate) fn volume_mark(&self, name: &str) -> PathBuf {
        self.volume_place(name).join("unfinished")
    }

    /// What all volumes are in.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.data_root.join("volumes")
    }

    /// What is known of file systems behind volumes, as long as the host is up.
    pub(crate) fn mounts(&self) -> PathBuf {
        self.exec_root.join("mounts")
    }

    /// The number of the file system that was mounted last for a volume.
    pub(crate) fn mounted(&self, name: &str) -> PathBuf {
        self.mounts().join(name)
    }

    /// Makes the directories of a new container.
    pub(crate) fn make(&self, id: &str) -> Result<(), Fault> {
        make(&self.container(id), 0o710)?;
        make_private(&self.running(id))
    }

    /// Removes what a container has.
    pub(crate) fn remove(&self, id: &str) -> Result<(), Fault> {
        remove_tree(&self.running(id))?;
        remove_tree(&self.container(id))
    }

    /// The IDs that have a directory under either root.
    pub(crate) fn ids(&self) -> Result<Vec<String>, Fault> {
        let mut ids = Vec::new();
        for root in [&self.data_root, &self.exec_root] {
            let dir = root.join("containers");
            let entries = match fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(Fault::io(format!("cannot read `{}`", dir.display()), error));
                }
            };
            for entry in entries {
                let entry = entry.during(|| format!("cannot read `{}`", dir.display()))?;
                if let Ok(id) = entry.file_name().into_string() {
                    ids.push(id);
                }
            }
        }
        ids.sort();
        ids.dedup();
        Ok(ids)
    }
}

/// Removes a directory with all that is in it; not an error when it is not there.
pub(crate) fn remove_tree(path: &Path) -> Result<(), Fault> {
    match naru_kernel::fs::remove_tree(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Fault::io(format!("cannot remove `{}`", path.display()), error)),
    }
}
