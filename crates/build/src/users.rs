//! Acts: users and groups of an image by name, as its own files have them.

use naru_errdefs::{Fault, ResultExt};
use naru_kernel::path::{OFlags, open_in_root};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

/// The most that is read of a file of users.
const LONGEST: u64 = 4 << 20;

/// Owner and group that `--chown` means. A user without a group has his own when he is known by name, and the group of the
/// same number when he is a number.
pub(crate) fn owner(root: Option<&OwnedFd>, text: &str) -> Result<(u32, u32), Fault> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let unknown = |what: &str, name: &str| {
        Fault::invalid(format!("unable to find {what} {name}: no such {what} in the image"))
            .with_hint(format!("use a number, or make the {what} with a `RUN` before"))
    };
    let (uid, own_group) = match user.parse::<u32>() {
        Ok(uid) => (uid, uid),
        Err(_) if user.is_empty() => (0, 0),
        Err(_) => {
            let line = find(root, "etc/passwd", user)?.ok_or_else(|| unknown("user", user))?;
            let number = |at: usize| line.split(':').nth(at).and_then(|text| text.parse().ok());
            (
                number(2).ok_or_else(|| unknown("user", user))?,
                number(3).ok_or_else(|| unknown("user", user))?,
            )
        }
    };
    let gid = match group {
        None => own_group,
        Some(group) => match group.parse::<u32>() {
            Ok(gid) => gid,
            Err(_) => find(root, "etc/group", group)?
                .and_then(|line| line.split(':').nth(2).and_then(|text| text.parse().ok()))
                .ok_or_else(|| unknown("group", group))?,
        },
    };
    Ok((uid, gid))
}

fn find(root: Option<&OwnedFd>, path: &str, name: &str) -> Result<Option<String>, Fault> {
    let Some(root) = root else { return Ok(None) };
    let opened = match open_in_root(root, path, OFlags::RDONLY | OFlags::NONBLOCK) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::io(format!("cannot open `/{path}` of the image"), error)),
    };
    let mut bytes = Vec::new();
    File::from(opened)
        .take(LONGEST)
        .read_to_end(&mut bytes)
        .during(|| format!("cannot read `/{path}` of the image"))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().find(|line| line.split(':').next() == Some(name)).map(str::to_owned))
}
