//! Pure: names of users and groups to numbers, by the container's own `/etc/passwd` and `/etc/group`.
//!
//! The files are an image's, so they may be anything: they are read up to a length, lines that make no sense are left
//! out, and nothing of the C library's name services is used.

use crate::plan::{UserPlan, UserRequest};
use crate::start_error::{Reason, StartError};
use std::io;

/// No more of a file is looked at.
pub(super) const LONGEST_FILE: u64 = 4 << 20;

/// The kernel takes no more groups.
const MOST_GROUPS: usize = 65536;

/// Who runs a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

type Read<'a> = &'a mut dyn FnMut(&str) -> io::Result<String>;

/// Resolves a user. `read` gives the text of a file of the container.
pub(super) fn resolve(user: &UserPlan, read: Read<'_>) -> Result<Identity, StartError> {
    let bad = |message: String| StartError::new(Reason::BadUser, message);
    let mut text = |file: &str| match read(file) {
        Ok(text) => Ok(text),
        // An image without these files has no names, which is fine for who needs none.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(String::new())
        }
        Err(error) => {
            Err(bad(format!("cannot read `{file}` of the container: {}", super::words(&error))))
        }
    };
    let request = match user {
        UserPlan::Ids { uid, gid, groups } => {
            // Only the home directory is wanted, so an unreadable file is no reason to fail.
            let passwd = text("/etc/passwd").unwrap_or_default();
            let home = entries(&passwd).find(|entry| entry.uid == *uid).map(|entry| entry.home);
            let home = home.unwrap_or("/").to_owned();
            return Ok(Identity { uid: *uid, gid: *gid, groups: groups.clone(), home });
        }
        UserPlan::Lookup(request) => request,
    };
    let (passwd, group) = (text("/etc/passwd")?, text("/etc/group")?);
    lookup(request, &passwd, &group).map_err(bad)
}

fn lookup(request: &UserRequest, passwd: &str, group: &str) -> Result<Identity, String> {
    let (user, wanted_group) = match request.user.split_once(':') {
        Some((user, group)) => (user, group),
        None => (request.user.as_str(), ""),
    };
    let user = if user.is_empty() { "0" } else { user };
    // A name wins over a number, as long as there is one that looks like it.
    let number = user.parse::<u32>().ok().filter(|number| *number <= MOST);
    let entry = entries(passwd)
        .find(|entry| entry.name == user)
        .or_else(|| entries(passwd).find(|entry| Some(entry.uid) == number));
    let (name, uid, gid, home) = match (&entry, number) {
        (Some(entry), _) => (entry.name, entry.uid, entry.gid, entry.home),
        (None, Some(number)) => ("", number, 0, "/"),
        (None, None) => {
            return Err(format!("unable to find user {user}: no matching entries in passwd file"));
        }
    };
    let mut groups = Vec::new();
    let gid = if wanted_group.is_empty() {
        let member = |group: &Group<'_>| {
            !name.is_empty() && group.members.split(',').any(|member| member == name)
        };
        groups.extend(group_entries(group).filter(member).map(|group| group.gid));
        gid
    } else {
        find_group(wanted_group, group)?
    };
    for extra in &request.groups {
        groups.push(find_group(extra, group)?);
    }
    let mut seen = std::collections::BTreeSet::new();
    groups.retain(|group| seen.insert(*group));
    if groups.len() > MOST_GROUPS {
        return Err(format!("user {user} is in {} groups, at most {MOST_GROUPS}", groups.len()));
    }
    let home = if home.is_empty() { "/" } else { home };
    Ok(Identity { uid, gid, groups, home: home.to_owned() })
}

/// The highest number a user or group can have: the next ones mean "none".
const MOST: u32 = i32::MAX.cast_unsigned();

fn find_group(wanted: &str, group: &str) -> Result<u32, String> {
    let number = wanted.parse::<u32>().ok().filter(|number| *number <= MOST);
    group_entries(group)
        .find(|entry| entry.name == wanted)
        .map(|entry| entry.gid)
        .or(number)
        .ok_or_else(|| format!("unable to find group {wanted}: no matching entries in group file"))
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn entries(text: &str) -> impl Iterator<Item = User<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let _password = fields.next()?;
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).unwrap_or_default();
        Some(User { name, uid, gid, home })
    })
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn group_entries(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let _password = fields.next()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Group { name, gid, members: fields.next().unwrap_or_default() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        nonsense\n\
        # comment:x:5:5::/:\n\
        www:x:33:34:web:/var/www:/bin/sh\n\
        1000:x:77:78::/odd:/bin/sh\n\
        bare:x:12:13\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:\naudio:x:29:www,root\nvideo:x:44:www\n";

    fn check(user: &str, groups: &[&str], expected: Result<(u32, u32, &[u32], &str), &str>) {
        let request = UserRequest {
            user: user.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        };
        let found = lookup(&request, PASSWD, GROUP);
        let found = match &found {
            Ok(found) => Ok((found.uid, found.gid, found.groups.as_slice(), found.home.as_str())),
            Err(message) => Err(message.as_str()),
        };
        assert_eq!(found, expected, "{user} {groups:?}");
    }

    #[test]
    fn users_are_found_as_people_write_them() {
        check("", &[], Ok((0, 0, &[29], "/root")));
        check("www", &[], Ok((33, 34, &[29, 44], "/var/www")));
        check("33", &[], Ok((33, 34, &[29, 44], "/var/www")));
        check("1000", &[], Ok((77, 78, &[], "/odd")));
        check("4242", &[], Ok((4242, 0, &[], "/")));
        check("4242:4343", &["audio", "9"], Ok((4242, 4343, &[29, 9], "/")));
        check("www:video", &[], Ok((33, 44, &[], "/var/www")));
        check("www", &["audio", "audio"], Ok((33, 34, &[29, 44], "/var/www")));
        check("bare", &[], Ok((12, 13, &[], "/")));
    }

    #[test]
    fn who_is_not_there_is_named() {
        let message = "unable to find user nobody: no matching entries in passwd file";
        check("nobody", &[], Err(message));
        let message = "unable to find group tea: no matching entries in group file";
        check("www:tea", &[], Err(message));
        check("www", &["tea"], Err(message));
        let message = "unable to find user 4294967295: no matching entries in passwd file";
        check("4294967295", &[], Err(message));
        check("-1", &[], Err("unable to find user -1: no matching entries in passwd file"));
    }

    #[test]
    fn an_image_without_files_knows_numbers_only() {
        let mut missing = |_: &str| Err(io::Error::from(io::ErrorKind::NotFound));
        let request =
            |user: &str| UserPlan::Lookup(UserRequest { user: user.to_owned(), groups: vec![] });
        assert_eq!(resolve(&request("5:6"), &mut missing).unwrap().gid, 6);
        assert_eq!(resolve(&request("www"), &mut missing).unwrap_err().reason, Reason::BadUser);
    }
}
