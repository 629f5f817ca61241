//! The unix sockets the daemon listens on: their group, and their removal in the end. Acts.

use naru_api_server::{Listening, bind_unix};
use naru_errdefs::{Fault, ResultExt};
use std::path::PathBuf;

/// The group that may use the sockets when none is named and it exists.
const DEFAULT_GROUP: &str = "naru";

/// Bound sockets; their files go with them.
#[derive(Debug)]
pub struct Sockets {
    paths: Vec<PathBuf>,
}

impl Sockets {
    /// Binds every path. The file of a daemon that is gone is replaced; one that answers is not.
    pub fn bind(
        paths: &[PathBuf],
        group: Option<&str>,
    ) -> Result<(Sockets, Vec<Listening>), Fault> {
        let gid = group_id(group)?;
        let mut sockets = Sockets { paths: Vec::new() };
        let mut listeners = Vec::new();
        for path in paths {
            if let Some(dir) = path.parent() {
                std::fs::create_dir_all(dir)
                    .during(|| format!("cannot make the directory `{}`", dir.display()))?;
            }
            listeners.push(bind_unix(path)?);
            if gid.is_some() {
                std::os::unix::fs::chown(path, Some(0), gid)
                    .during(|| format!("cannot give `{}` to its group", path.display()))?;
            }
            sockets.paths.push(path.clone());
        }
        Ok((sockets, listeners))
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for path in &self.paths {
            std::fs::remove_file(path).ok();
        }
    }
}

/// The number of a group, read from the host's own file: static programs must not ask the C library.
fn group_id(name: Option<&str>) -> Result<Option<u32>, Fault> {
    let wanted = name.unwrap_or(DEFAULT_GROUP);
    if let Ok(number) = wanted.parse() {
        return Ok(Some(number));
    }
    let text = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(wanted))
            .then(|| fields.nth(1).and_then(|number| number.parse().ok()))
            .flatten()
    });
    match (found, name) {
        (Some(number), _) => Ok(Some(number)),
        (None, None) => Ok(None),
        (None, Some(name)) => Err(Fault::not_found(format!("group `{name}` is not in /etc/group"))
            .with_hint("create it, or name another with --group")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_live_socket_is_kept_and_ours_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x/s");
        let (sockets, listeners) = Sockets::bind(std::slice::from_ref(&path), None).unwrap();
        assert!(Sockets::bind(std::slice::from_ref(&path), None).is_err());
        assert!(path.exists());
        drop((sockets, listeners));
        assert!(!path.exists());
    }

    #[test]
    fn an_unknown_group_is_named() {
        assert_eq!(group_id(Some("12")).unwrap(), Some(12));
        assert_eq!(group_id(Some("root")).unwrap(), Some(0));
        assert!(group_id(Some("no-such-group")).unwrap_err().message().contains("no-such-group"));
    }
}
