//! Pure (but for the reader it is given): `--security-opt`, with a seccomp profile read here and sent as its content.

use super::OptError;

/// What the security options come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// As the API takes them.
    pub options: Vec<String>,
    /// `systempaths=unconfined` was asked for: no masked and no read-only paths.
    pub system_paths_unconfined: bool,
}

/// The security options; `read` gets a profile's file.
pub fn parse(
    options: &[&str],
    read: &dyn Fn(&str) -> std::io::Result<Vec<u8>>,
) -> Result<Security, OptError> {
    let mut security = Security::default();
    for option in options {
        let (key, value) = match option.split_once('=').or_else(|| option.split_once(':')) {
            Some((key, value)) => (key, Some(value)),
            None => (*option, None),
        };
        match (key, value) {
            ("no-new-privileges", None | Some("true" | "false")) => {
                security.options.push((*option).to_owned());
            }
            ("systempaths", Some("unconfined")) => security.system_paths_unconfined = true,
            ("seccomp", Some("unconfined" | "builtin")) => {
                security.options.push((*option).to_owned());
            }
            ("seccomp", Some(path)) => {
                let profile = read(path).map_err(|error| {
                    OptError::new(format!("opening seccomp profile ({path}) failed: {error}"))
                        .with_hint("name a profile's file, `unconfined` or `builtin`")
                })?;
                let json: serde_json::Value =
                    serde_json::from_slice(&profile).map_err(|error| {
                        OptError::new(format!(
                            "compacting json for seccomp profile ({path}) failed: {error}"
                        ))
                    })?;
                security.options.push(format!("seccomp={json}"));
            }
            ("apparmor" | "label" | "credentialspec" | "writable-cgroups", Some(_)) => {
                security.options.push((*option).to_owned());
            }
            (_, None) => {
                return Err(OptError::new(format!("Invalid --security-opt: {option:?}")).with_hint(
                    "the options are `no-new-privileges`, `seccomp=FILE` and `systempaths=unconfined`",
                ));
            }
            // The daemon refuses what it does not know, by name.
            _ => security.options.push((*option).to_owned()),
        }
    }
    Ok(security)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn read(path: &str) -> io::Result<Vec<u8>> {
        match path {
            "p.json" => Ok(b"{ \"defaultAction\":\n\"SCMP_ACT_ALLOW\" }".to_vec()),
            "bad.json" => Ok(b"{".to_vec()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    #[test]
    fn profiles_are_read_here() {
        let security = parse(
            &["no-new-privileges", "seccomp=p.json", "systempaths=unconfined", "apparmor=x"],
            &read,
        )
        .unwrap();
        assert_eq!(
            security.options,
            ["no-new-privileges", "seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}", "apparmor=x"]
        );
        assert!(security.system_paths_unconfined);
        assert_eq!(parse(&["seccomp:unconfined"], &read).unwrap().options, ["seccomp:unconfined"]);
    }

    #[test]
    fn bad_ones_are_named() {
        for (option, message) in [
            ("seccomp=missing", "opening seccomp profile (missing) failed"),
            ("seccomp=bad.json", "compacting json for seccomp profile (bad.json) failed"),
            ("what", "Invalid --security-opt: \"what\""),
        ] {
            let error = parse(&[option], &read).unwrap_err();
            assert!(error.message.contains(message), "{}", error.message);
        }
    }
}
