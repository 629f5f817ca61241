//! Pure: the path of a cgroup below the mount points of the hierarchies.

use super::CgroupError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a cgroup lies below each hierarchy's mount point: `/naru/<id>`. Absolute, without `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CgroupPath(String);

impl CgroupPath {
    /// The cgroup `name` below `parent` (the value of `--cgroup-parent`; a relative one counts from the root).
    pub fn new(parent: &str, name: &str) -> Result<CgroupPath, CgroupError> {
        format!("{parent}/{name}").parse()
    }

    /// The path, with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its leading slash, to be joined to a mount point.
    pub(crate) fn relative(&self) -> &str {
        self.0.trim_start_matches('/')
    }
}

impl FromStr for CgroupPath {
    type Err = CgroupError;

    fn from_str(text: &str) -> Result<CgroupPath, CgroupError> {
        let bad = |reason| CgroupError::BadPath { path: text.to_owned(), reason };
        if text.contains('\0') || text.contains('\n') {
            return Err(bad("it has a character that no cgroup can have"));
        }
        if text.len() > 2048 {
            return Err(bad("it is longer than 2048 bytes"));
        }
        let mut clean = String::with_capacity(text.len() + 1);
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(bad("it has a `..`")),
                _ if part.len() > 255 => return Err(bad("a part is longer than 255 bytes")),
                // Such a name would be taken for a file of the kernel.
                _ if part.starts_with("cgroup.") => {
                    return Err(bad("a part begins with `cgroup.`"));
                }
                _ => {
                    clean.push('/');
                    clean.push_str(part);
                }
            }
        }
        if clean.is_empty() {
            return Err(bad("it is the root cgroup"));
        }
        Ok(CgroupPath(clean))
    }
}

impl TryFrom<String> for CgroupPath {
    type Error = CgroupError;

    fn try_from(text: String) -> Result<CgroupPath, CgroupError> {
        text.parse()
    }
}

impl From<CgroupPath> for String {
    fn from(path: CgroupPath) -> String {
        path.0
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::CgroupPath;

    fn check(parent: &str, name: &str, expected: Option<&str>) {
        let path = CgroupPath::new(parent, name).ok();
        assert_eq!(path.as_ref().map(CgroupPath::as_str), expected, "{parent:?} {name:?}");
    }

    #[test]
    fn a_parent_counts_from_the_root() {
        check("/naru", "abc", Some("/naru/abc"));
        check("naru", "abc", Some("/naru/abc"));
        check("/a//b/./c/", "abc", Some("/a/b/c/abc"));
        check("", "abc", Some("/abc"));
        check("/", "abc", Some("/abc"));
        check("my parent", "abc", Some("/my parent/abc"));
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        check("/naru/..", "abc", None);
        check("/naru", "../abc", None);
        check("/naru", "a\nb", None);
        check("/naru", "a\0b", None);
        check("/", "", None);
        check("/naru", "cgroup.procs", None);
        check("/naru", &"x".repeat(256), None);
    }
}
