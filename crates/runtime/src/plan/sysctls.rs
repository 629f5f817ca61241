//! Pure: kernel settings that belong to a namespace, from dotted names to paths.

use super::{Namespace, Namespaces, PlanError};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Settings of the IPC namespace outside `fs.mqueue`.
const IPC: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

/// The paths below `/proc/sys` and the values. Only what the container has a namespace of its own for: anything else
/// would change the whole machine.
pub(crate) fn resolve(
    given: &BTreeMap<&String, &String>,
    namespaces: &Namespaces,
) -> Result<Vec<(PathBuf, String)>, PlanError> {
    given
        .iter()
        .map(|(name, value)| {
            let path = path(name);
            let invalid =
                |why: &str| PlanError::invalid("linux.sysctl", format!("`{name}`: {why}"));
            if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
                return Err(invalid("not a name of a setting"));
            }
            let owner = if path.starts_with("net/") {
                Namespace::Network
            } else if path.starts_with("fs/mqueue/") || IPC.contains(&path.as_str()) {
                Namespace::Ipc
            } else if path == "kernel/domainname" {
                Namespace::Uts
            } else if path == "kernel/hostname" {
                return Err(invalid("use the spec's `hostname`"));
            } else if path.starts_with("user/") {
                Namespace::User
            } else {
                return Err(invalid(
                    "it belongs to no namespace, so it would change the whole machine",
                ));
            };
            if !namespaces.has(owner) {
                return Err(invalid(&format!(
                    "the container has no `{}` namespace of its own",
                    owner.file()
                )));
            }
            Ok((PathBuf::from(path), (*value).clone()))
        })
        .collect()
}

/// `a.b.c` or `a/b/c`; whichever separator comes first is the separator, the other one belongs to a name.
fn path(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes().get(at) == Some(&b'.') => name
            .chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, namespaces: &[Namespace], expected: Option<&str>) {
        let (name, value) = (name.to_owned(), "1".to_owned());
        let namespaces = Namespaces { new: namespaces.to_vec(), join: Vec::new() };
        let result = resolve(&BTreeMap::from([(&name, &value)]), &namespaces);
        let found =
            result.ok().and_then(|list| Some(list.first()?.0.to_string_lossy().into_owned()));
        assert_eq!(found.as_deref(), expected, "{name}");
    }

    #[test]
    fn a_setting_needs_its_namespace() {
        use Namespace::{Ipc, Network, Uts};
        check("net.ipv4.ip_forward", &[Network], Some("net/ipv4/ip_forward"));
        check("net/ipv4/conf/eth0.1/arp", &[Network], Some("net/ipv4/conf/eth0.1/arp"));
        check("net.ipv4.conf.eth0/1.arp", &[Network], Some("net/ipv4/conf/eth0.1/arp"));
        check("net.ipv4.ip_forward", &[Ipc], None);
        check("kernel.shmmax", &[Ipc], Some("kernel/shmmax"));
        check("kernel.domainname", &[Uts], Some("kernel/domainname"));
        check("kernel.panic", &[Ipc, Network, Uts], None);
        check("net.../../kernel/panic", &[Network], None);
        check("net/../kernel/panic", &[Network], None);
        check("", &[Network], None);
    }
}
