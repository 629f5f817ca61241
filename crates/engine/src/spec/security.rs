//! Pure: `--security-opt`, taken apart.

use naru_errdefs::Fault;

/// Which system calls are let through.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) enum Seccomp {
    /// Docker's default profile.
    #[default]
    Default,
    /// All of them.
    Unconfined,
    /// A profile in Docker's JSON.
    Profile(String),
}

/// What the security options say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Security {
    /// Which system calls are let through.
    pub(crate) seccomp: Seccomp,
    /// Whether no program can gain more rights.
    pub(crate) no_new_privileges: bool,
    /// Whether nothing is masked or read-only under `/proc` and `/sys`.
    pub(crate) system_paths_open: bool,
}

/// Reads the options; every one that is not served is refused.
pub(crate) fn parse(options: &[String]) -> Result<Security, Fault> {
    let mut security = Security::default();
    for option in options {
        let refused = || Fault::invalid(format!("invalid --security-opt: \"{option}\""));
        let (key, value) = option
            .split_once('=')
            .or_else(|| option.split_once(':'))
            .map_or((option.as_str(), None), |(key, value)| (key, Some(value)));
        match (key, value) {
            ("no-new-privileges", None | Some("true")) => security.no_new_privileges = true,
            ("no-new-privileges", Some("false")) => security.no_new_privileges = false,
            ("seccomp", Some("unconfined")) => security.seccomp = Seccomp::Unconfined,
            ("seccomp", Some("builtin")) => security.seccomp = Seccomp::Default,
            ("seccomp", Some(profile)) => {
                if !profile.trim_start().starts_with('{') {
                    return Err(Fault::invalid(
                        "Decoding seccomp profile failed: it is not a JSON object",
                    )
                    .with_hint(
                        "give the profile itself, `unconfined` or `builtin`; the client reads the file",
                    ));
                }
                security.seccomp = Seccomp::Profile(profile.to_owned());
            }
            ("apparmor", Some("unconfined")) | ("label", Some("disable")) => {}
            ("apparmor", Some(_)) => {
                return Err(Fault::unsupported("AppArmor profiles are not supported")
                    .with_hint("leave out `--security-opt apparmor=…`, or use `unconfined`"));
            }
            ("label", Some(_)) => {
                return Err(Fault::unsupported("SELinux labels are not supported")
                    .with_hint("leave out `--security-opt label=…`, or use `label=disable`"));
            }
            ("systempaths", Some("unconfined")) => security.system_paths_open = true,
            _ => return Err(refused()),
        }
    }
    Ok(security)
}

#[cfg(test)]
mod tests {
    use super::{Seccomp, parse};
    use naru_errdefs::Kind;

    #[test]
    fn options_are_read_in_both_spellings_and_unknown_ones_refused() {
        let read = |option: &str| parse(&[option.to_owned()]);
        assert!(read("no-new-privileges").unwrap().no_new_privileges);
        assert!(read("no-new-privileges:true").unwrap().no_new_privileges);
        assert!(!read("no-new-privileges=false").unwrap().no_new_privileges);
        assert_eq!(read("seccomp:unconfined").unwrap().seccomp, Seccomp::Unconfined);
        assert_eq!(read("seccomp={}").unwrap().seccomp, Seccomp::Profile("{}".into()));
        assert!(read("systempaths=unconfined").unwrap().system_paths_open);
        assert_eq!(read("apparmor=x").unwrap_err().kind(), Kind::Unsupported);
        for bad in ["", "x", "x=y", "no-new-privileges=maybe", "seccomp", "seccomp=/etc/x"] {
            assert_eq!(read(bad).unwrap_err().kind(), Kind::InvalidInput, "{bad}");
        }
    }
}
