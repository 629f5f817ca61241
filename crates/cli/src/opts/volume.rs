//! Pure: `-v [SOURCE:]TARGET[:OPTIONS]`.

use super::OptError;

/// How mounts may spread between host and container.
pub const PROPAGATIONS: &[&str] = &["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// What `-v` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Volume {
    /// `SOURCE:TARGET[:OPTIONS]`, as the API takes it, with an absolute path or a volume's name as source.
    Bind(String),
    /// A volume without a name at this path.
    Anonymous(String),
}

/// A volume. `cwd` makes `./x` absolute, as docker's client does.
pub fn parse(text: &str, cwd: &str) -> Result<Volume, OptError> {
    let refuse = |why: &str| {
        OptError::new(format!("invalid volume specification: '{text}': {why}")).with_hint(
            "write it as in `/host/path:/container/path` or `/host/path:/container/path:ro`",
        )
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, None),
        [source, target] => (Some(*source), *target, None),
        [source, target, options] => (Some(*source), *target, Some(*options)),
        _ => return Err(refuse("too many colons")),
    };
    if source == Some("") {
        return Err(refuse("empty section between colons"));
    }
    if !target.starts_with('/') {
        return Err(refuse("mount path must be absolute"));
    }
    if target.trim_end_matches('/').is_empty() {
        return Err(OptError::new(format!(
            "invalid volume specification: '{text}': destination can't be '/'"
        )));
    }
    if let Some(options) = options {
        let known = |word: &str| {
            ["ro", "rw", "z", "Z", "nocopy", "cached", "consistent", "delegated", "rbind", "bind"]
                .contains(&word)
                || PROPAGATIONS.contains(&word)
        };
        if let Some(word) = options.split(',').find(|word| !known(word)) {
            return Err(OptError::new(format!("invalid mode: {word}")).with_hint(
                "the options are `ro`, `rw`, `nocopy` and a propagation such as `rslave`",
            ));
        }
    }
    let Some(source) = source else { return Ok(Volume::Anonymous(target.to_owned())) };
    let source = if source.starts_with('.') || source.starts_with('/') || source.contains('/') {
        if !source.starts_with('.') && !source.starts_with('/') {
            return Err(refuse("a volume's name cannot contain `/`").with_hint(format!(
                "write `./{source}` or an absolute path for a directory of the host"
            )));
        }
        absolute(source, cwd)
    } else {
        source.to_owned()
    };
    Ok(Volume::Bind(match options {
        Some(options) => format!("{source}:{target}:{options}"),
        None => format!("{source}:{target}"),
    }))
}

/// A path made absolute and rid of `.`, `..` and doubled slashes, as Go's `filepath.Abs` does it (by words only).
pub fn absolute(path: &str, cwd: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{cwd}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opts::tests::check;

    #[test]
    fn volumes() {
        let bind = |text: &str| Volume::Bind(text.to_owned());
        check(
            |text| parse(text, "/cwd/x"),
            &[
                ("/a:/b", bind("/a:/b")),
                ("/a/../c//d/:/b:ro", bind("/c/d:/b:ro")),
                ("./a:/b", bind("/cwd/x/a:/b")),
                ("..:/b", bind("/cwd:/b")),
                ("name:/b:nocopy", bind("name:/b:nocopy")),
                ("/a:/b:ro,rslave", bind("/a:/b:ro,rslave")),
                ("/data", Volume::Anonymous("/data".to_owned())),
            ],
            &[
                ("a", "mount path must be absolute"),
                ("a:b", "mount path must be absolute"),
                (":/b", "empty section"),
                ("/a:/", "destination can't be '/'"),
                ("/a:/b:what", "invalid mode: what"),
                ("/a:/b:ro:x", "too many colons"),
                ("a/b:/c", "cannot contain `/`"),
                ("", "mount path must be absolute"),
            ],
        );
    }
}
