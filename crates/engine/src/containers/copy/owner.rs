//! Pure: the user and group that a container's own user stands for.

use naru_errdefs::Fault;

/// The numbers of `USER[:GROUP]`, by the container's own `/etc/passwd` and `/etc/group`.
pub(super) fn resolve(user: &str, passwd: &str, group: &str) -> Result<(u32, u32), Fault> {
    let (user, wanted) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let row = rows(passwd)
        .find(|row| row.first() == Some(&user))
        .or_else(|| rows(passwd).find(|row| row.get(2) == Some(&user)));
    let number = |row: &Vec<&str>, at: usize| row.get(at).and_then(|text| text.parse::<u32>().ok());
    let uid = match row.as_ref().and_then(|row| number(row, 2)).or_else(|| user.parse().ok()) {
        Some(uid) => uid,
        None => {
            return Err(Fault::invalid(format!(
                "unable to find user {user}: no matching entries in passwd file"
            )));
        }
    };
    let gid = match wanted.filter(|wanted| !wanted.is_empty()) {
        None => row.as_ref().and_then(|row| number(row, 3)).unwrap_or(0),
        Some(wanted) => rows(group)
            .find(|row| row.first() == Some(&wanted))
            .and_then(|row| number(&row, 2))
            .or_else(|| wanted.parse().ok())
            .ok_or_else(|| {
                Fault::invalid(format!(
                    "unable to find group {wanted}: no matching entries in group file"
                ))
            })?,
    };
    Ok((uid, gid))
}

fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.trim().split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nbob:x:1000:1001::/:/bin/sh\n";
        let group = "root:x:0:\ncrew:x:50:bob\n";
        for (user, want) in [
            ("bob", Some((1000, 1001))),
            ("1000", Some((1000, 1001))),
            ("7", Some((7, 0))),
            ("7:8", Some((7, 8))),
            ("bob:crew", Some((1000, 50))),
            ("bob:", Some((1000, 1001))),
            ("nobody", None),
            ("bob:nobody", None),
        ] {
            assert_eq!(resolve(user, passwd, group).ok(), want, "{user}");
        }
    }
}
