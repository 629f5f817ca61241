//! Docker's own client configuration (`config.json`): who the user is to registries, and who keeps the secrets.
//!
//! Acts: reads and writes the file, runs credential helpers. What the file says is decided in `document`, which is pure.
//! Everything in the file that is not about credentials stays as it was, and where it was.

mod document;
mod helper;

pub use document::registry_key;

use document::Document;
use helper::Helper;
use naru_api_types::registry::AuthConfig;
use naru_errdefs::{Fault, ResultExt};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The longest file that is read.
const LONGEST: u64 = 4 << 20;

/// The configuration file, read.
#[derive(Debug)]
pub struct DockerConfig {
    path: PathBuf,
    document: Document,
}

/// What storing credentials led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// A helper keeps them, or nothing had to be changed.
    Quietly,
    /// A password was written into this file, which everybody can read who can read the user's files.
    Unencrypted(PathBuf),
}

impl DockerConfig {
    /// Reads the file in a directory; one that is not there is empty.
    pub fn read(directory: Option<&str>) -> Result<DockerConfig, Fault> {
        let Some(directory) = directory else {
            // Without a home there is nothing to read, and nowhere to write.
            return Ok(DockerConfig { path: PathBuf::new(), document: Document::default() });
        };
        let path = Path::new(directory).join("config.json");
        let during = || format!("cannot read the client's configuration `{}`", path.display());
        let text = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Ok(metadata) if metadata.len() > LONGEST => {
                return Err(Fault::invalid(format!("{}: it is too long", during())));
            }
            _ => std::fs::read_to_string(&path).during(during)?,
        };
        let document = Document::parse(&text).map_err(|fault| fault.context(during()))?;
        Ok(DockerConfig { path, document })
    }

    /// Who the user is to a registry (its key, see [`registry_key`]).
    pub fn credentials(&self, key: &str) -> Result<AuthConfig, Fault> {
        match self.document.helper(key) {
            Some(name) => Ok(Helper::named(&name)?.get(key)?.unwrap_or_default()),
            None => Ok(self.document.credentials(key)),
        }
    }

    /// The registries that it knows.
    pub fn registries(&self) -> Vec<&str> {
        self.document.registries()
    }

    /// Keeps credentials for the registry that they name.
    pub fn store(&mut self, auth: &AuthConfig) -> Result<Stored, Fault> {
        let key = &auth.serveraddress;
        let helper = self.document.helper(key);
        if let Some(name) = &helper {
            Helper::named(name)?.store(auth)?;
        }
        let kept = if helper.is_some() { &AuthConfig::default() } else { auth };
        if !self.document.put(key, kept)? {
            return Ok(Stored::Quietly);
        }
        self.write()?;
        if helper.is_none() && !auth.password.is_empty() {
            return Ok(Stored::Unencrypted(self.path.clone()));
        }
        Ok(Stored::Quietly)
    }

    /// Forgets credentials; fine when there are none.
    pub fn erase(&mut self, keys: &[String]) -> Result<(), Fault> {
        let mut helpers: Vec<(String, &String)> = Vec::new();
        for key in keys {
            helpers.extend(self.document.helper(key).map(|name| (name, key)));
        }
        let mut failed = None;
        for (index, (name, key)) in helpers.iter().enumerate() {
            // One that fails for the first, the real name of the registry has failed.
            if let Err(fault) = Helper::named(name).and_then(|helper| helper.erase(key))
                && index == 0
            {
                failed = Some(fault);
            }
        }
        let mut changed = false;
        for key in keys {
            changed |= self.document.remove(key);
        }
        if changed {
            self.write()?;
        }
        match failed {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    /// Writes the file as a whole: a reader sees the old one or the new one. A link stays one.
    fn write(&self) -> Result<(), Fault> {
        if self.path.as_os_str().is_empty() {
            return Err(Fault::invalid("cannot keep credentials: there is no home directory")
                .with_hint("set HOME, or name a directory with DOCKER_CONFIG"));
        }
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let during = || format!("cannot write the client's configuration `{}`", path.display());
        let directory = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(directory).during(during)?;
        let part = path.with_extension(format!("json.{}", std::process::id()));
        let written = write_new(&part, self.document.text().as_bytes(), &path)
            .and_then(|()| std::fs::rename(&part, &path))
            .and_then(|()| std::fs::File::open(directory)?.sync_all());
        if written.is_err() {
            // Gone already when it took its name.
            std::fs::remove_file(&part).ok();
        }
        written.during(during)
    }
}

/// A file for the user alone; one that replaces another keeps its mode and its owner.
fn write_new(part: &Path, bytes: &[u8], old: &Path) -> std::io::Result<()> {
    std::fs::remove_file(part).ok();
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(part)?;
    if let Ok(old) = std::fs::metadata(old) {
        file.set_permissions(std::fs::Permissions::from_mode(old.mode() & 0o777))?;
        // Only root can give a file away, and only root has to.
        std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid())).ok();
    }
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
