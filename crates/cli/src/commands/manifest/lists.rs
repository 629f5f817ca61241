//! Acts: the lists that are kept until they are pushed, where docker's client keeps them: a directory a list and a file an
//! image, below `manifests` in the user's configuration.

use super::entry::Entry;
use crate::context::App;
use naru_errdefs::{Fault, ResultExt};
use naru_oci::Reference;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The longest file of an entry.
const LONGEST: u64 = 16 << 20;
/// Images of one list.
const MOST: usize = 1000;

/// The lists.
#[derive(Debug)]
pub(super) struct Lists {
    root: PathBuf,
}

impl Lists {
    /// Those of the user.
    pub(super) fn of(app: &App<'_>) -> Result<Lists, Fault> {
        let directory = app.config_directory().ok_or_else(|| {
            Fault::invalid("cannot keep manifest lists: there is no home directory")
                .with_hint("set HOME, or name a directory with DOCKER_CONFIG")
        })?;
        Ok(Lists { root: Path::new(&directory).join("manifests") })
    }

    fn path(&self, list: &Reference) -> PathBuf {
        self.root.join(safe(list))
    }

    /// The images of a list, sorted by the names of their files.
    pub(super) fn get(&self, list: &Reference) -> Result<Option<Vec<Entry>>, Fault> {
        let directory = self.path(list);
        let reading = || format!("cannot read the manifest list `{}`", directory.display());
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.during(reading)?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.during(reading)?.path();
            // A file that was being written when its writer died.
            let hidden =
                path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !hidden {
                paths.push(path);
            }
        }
        paths.sort();
        if paths.len() > MOST {
            return Err(Fault::invalid(format!("the manifest list has more than {MOST} images")));
        }
        let mut found = Vec::with_capacity(paths.len());
        for path in paths {
            let reading = || format!("cannot read `{}`", path.display());
            let mut text = String::new();
            std::fs::File::open(&path)
                .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
                .during(reading)?;
            found.push(Entry::parse(&text).map_err(|fault| fault.context(reading()))?);
        }
        Ok(Some(found))
    }

    /// Writes the images of a list, each as a whole.
    pub(super) fn put(&self, list: &Reference, entries: &[Entry]) -> Result<(), Fault> {
        let directory = self.path(list);
        let writing = || format!("cannot write the manifest list `{}`", directory.display());
        std::fs::create_dir_all(&directory).during(writing)?;
        for entry in entries {
            let name = safe(&entry.reference);
            let part = directory.join(format!(".{}.{}", std::process::id(), name));
            let path = directory.join(name);
            std::fs::remove_file(&part).ok();
            let written = std::fs::File::options()
                .write(true)
                .create_new(true)
                .open(&part)
                .and_then(|mut file| file.write_all(entry.verbose().as_bytes()))
                .and_then(|()| std::fs::rename(&part, &path));
            if written.is_err() {
                std::fs::remove_file(&part).ok();
            }
            written.during(writing)?;
        }
        Ok(())
    }

    /// Removes a list; says whether it was there.
    pub(super) fn remove(&self, list: &Reference) -> Result<bool, Fault> {
        let directory = self.path(list);
        match std::fs::remove_dir_all(&directory) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Fault::io(
                format!("cannot remove the manifest list `{}`", directory.display()),
                error,
            )),
        }
    }
}

/// Pure: a name as a file's, as docker's client makes it. References have no dots at their start, so nothing leads out.
fn safe(reference: &Reference) -> String {
    reference.to_string().replace(':', "-").replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_oci::{Descriptor, Digest, media_type};

    #[test]
    fn lists_are_kept_where_docker_keeps_them() {
        let dir = tempfile::tempdir().unwrap();
        let lists = Lists { root: dir.path().join("manifests") };
        let list: Reference = "x:1".parse().unwrap();
        assert_eq!(lists.get(&list).unwrap(), None);
        let raw = "{\"schemaVersion\":2}".to_owned();
        let entry = Entry {
            reference: "localhost:5000/x:arm".parse().unwrap(),
            descriptor: Descriptor::new(media_type::OCI_MANIFEST, Digest::of(raw.as_bytes()), 19),
            raw,
        };
        lists.put(&list, std::slice::from_ref(&entry)).unwrap();
        let file = "manifests/docker.io_library_x-1/localhost-5000_x-arm";
        assert!(dir.path().join(file).is_file());
        assert_eq!(lists.get(&list).unwrap(), Some(vec![entry]));
        assert!(lists.remove(&list).unwrap());
        assert!(!lists.remove(&list).unwrap());
        std::fs::create_dir_all(dir.path().join("manifests/docker.io_library_x-1")).unwrap();
        std::fs::File::create(dir.path().join(file)).unwrap();
        assert!(lists.get(&list).unwrap_err().message().contains("localhost-5000_x-arm"));
    }
}
