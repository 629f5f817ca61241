//! Which role a command line asks for. Pure: decided from the words alone, before any thread exists.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// What this process is going to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Role {
    /// The host daemon, with its options.
    Daemon(Vec<OsString>),
    /// The parent of every container, with its options.
    Monitor(Vec<OsString>),
    /// The registry alone, with its options.
    Registry(Vec<OsString>),
    /// The OCI runtime command line, with its options.
    Oci(Vec<OsString>),
    /// What the embedded image runs.
    Hello,
    /// The client, with the whole command line.
    Client(Vec<OsString>),
}

impl Role {
    /// Decides from the program's name and the first word. A link called `docker` is always the client, and one called
    /// `naru-oci` always the runtime, because callers such as podman can name a program but no first word.
    pub fn of(args: Vec<OsString>) -> Role {
        let name =
            args.first().map(Path::new).and_then(Path::file_name).unwrap_or_default().to_owned();
        let rest = |skip: usize| args.iter().skip(skip).cloned().collect::<Vec<_>>();
        if name == "docker" {
            return Role::Client(args);
        }
        if name == "naru-oci" {
            return Role::Oci(rest(1));
        }
        match args.get(1).map(OsString::as_os_str).and_then(OsStr::to_str) {
            Some("daemon") => Role::Daemon(rest(2)),
            Some("monitor") => Role::Monitor(rest(2)),
            Some("oci") => Role::Oci(rest(2)),
            // Its other words (`ls`, `rm`, ...) are the client's.
            Some("registry") if args.get(2).is_some_and(|word| word == "serve") => {
                Role::Registry(rest(3))
            }
            Some("hello") => Role::Hello,
            _ => Role::Client(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Role;
    use std::ffi::OsString;

    fn check(line: &str, expected: &Role) {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(&Role::of(args), expected, "{line}");
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect()
    }

    #[test]
    fn the_first_word_or_the_name_decides() {
        check("naru daemon -D", &Role::Daemon(words("-D")));
        check("/usr/bin/naru monitor --socket x", &Role::Monitor(words("--socket x")));
        check("naru oci state x", &Role::Oci(words("state x")));
        check("/run/naru-oci state x", &Role::Oci(words("state x")));
        check("naru hello", &Role::Hello);
        check("naru registry serve --root x", &Role::Registry(words("--root x")));
        check("naru registry ls", &Role::Client(words("naru registry ls")));
        check("naru registry", &Role::Client(words("naru registry")));
        check("docker registry serve", &Role::Client(words("docker registry serve")));
        check("naru run hello", &Role::Client(words("naru run hello")));
        check("/bin/docker daemon", &Role::Client(words("/bin/docker daemon")));
        check("naru", &Role::Client(words("naru")));
    }
}
