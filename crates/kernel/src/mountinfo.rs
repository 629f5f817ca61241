//! Pure: reads the lines of `/proc/PID/mountinfo`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The number of the file system, `major:minor`.
    pub device: String,
    /// Which directory of its file system is mounted.
    pub root: PathBuf,
    /// Where.
    pub mount_point: PathBuf,
    /// Options of the mount point.
    pub options: Vec<String>,
    /// `shared:N`, `master:N` and the like.
    pub propagation: Vec<String>,
    /// The type of the file system.
    pub kind: String,
    /// What it was mounted from.
    pub source: String,
    /// Options of the file system.
    pub super_options: Vec<String>,
}

/// Reads a whole `mountinfo`; lines that make no sense are left out.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(2);
    let mut after = after.splitn(3, ' ');
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    Some(Mount {
        device: before.next()?.to_owned(),
        root: unescape(before.next()?),
        mount_point: unescape(before.next()?),
        options: list(before.next()?),
        propagation: before.map(str::to_owned).collect(),
        kind: after.next()?.to_owned(),
        source: after.next()?.to_owned(),
        super_options: list(after.next().unwrap_or_default()),
    })
}

/// The number of a file system as it stands there.
pub fn device_text(device: u64) -> String {
    format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device))
}

/// Space, tab, line feed and backslash are written as a backslash and three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after
            .get(..3)
            .filter(|_digits| byte == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line = "36 35 98:0 /mnt1 /a\\040b rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue";
        assert_eq!(
            parse(line),
            [Mount {
                device: "98:0".to_owned(),
                root: "/mnt1".into(),
                mount_point: "/a b".into(),
                options: vec!["rw".to_owned(), "noatime".to_owned()],
                propagation: vec!["master:1".to_owned(), "shared:2".to_owned()],
                kind: "ext3".to_owned(),
                source: "/dev/root".to_owned(),
                super_options: vec!["rw".to_owned(), "errors=continue".to_owned()],
            }]
        );
    }

    #[test]
    fn nonsense_is_left_out() {
        assert_eq!(parse("\nx y\n1 2 3 - \n"), []);
    }
}
