//! Pure: options of the driver `local`, in Docker's words, to what stands behind a volume.

use naru_errdefs::Fault;
use naru_kernel::mount::attribute;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What stands behind a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backing {
    /// Its own directory.
    Directory,
    /// A path of the host.
    Bind {
        /// The path.
        source: PathBuf,
        /// With the mounts below it.
        recursive: bool,
        /// Words for the mount (`ro`, `nosuid`, …).
        options: Vec<String>,
    },
    /// A file system that is mounted for the first container that uses it.
    FileSystem(FileSystem),
}

/// A file system to mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileSystem {
    /// Its type.
    pub(crate) kind: String,
    /// The device, the server's path, …
    pub(crate) device: String,
    /// Options of the file system itself; a flag has no value.
    pub(crate) options: Vec<(String, Option<String>)>,
    /// Bits of the mount point.
    pub(crate) attributes: u64,
    /// Whether nothing of it is left when nobody uses it.
    pub(crate) volatile: bool,
}

const KNOWN: [&str; 4] = ["device", "o", "size", "type"];
const NEEDS: [(&str, &[&str]); 3] =
    [("device", &["type"]), ("o", &["device", "type"]), ("type", &["device"])];

/// Bits of mount points by their words: the word, bits set, bits cleared.
const WORDS: [(&str, u64, u64); 14] = [
    ("atime", 0, attribute::ACCESS_TIME),
    ("dev", 0, attribute::NO_DEV),
    ("diratime", 0, attribute::NO_DIRECTORY_ACCESS_TIME),
    ("exec", 0, attribute::NO_EXEC),
    ("noatime", attribute::NO_ACCESS_TIME, attribute::ACCESS_TIME),
    ("nodev", attribute::NO_DEV, 0),
    ("nodiratime", attribute::NO_DIRECTORY_ACCESS_TIME, 0),
    ("noexec", attribute::NO_EXEC, 0),
    ("nosuid", attribute::NO_SUID, 0),
    ("relatime", 0, attribute::ACCESS_TIME),
    ("ro", attribute::READ_ONLY, 0),
    ("rw", 0, attribute::READ_ONLY),
    ("strictatime", attribute::STRICT_ACCESS_TIME, attribute::ACCESS_TIME),
    ("suid", 0, attribute::NO_SUID),
];

/// Reads the options of a volume.
pub(crate) fn parse(options: &BTreeMap<String, String>) -> Result<Backing, Fault> {
    if let Some(key) = options.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(Fault::invalid(format!("invalid option: \"{key}\""))
            .with_hint("the driver `local` has the options `type`, `device`, `o` and `size`"));
    }
    for (key, needed) in NEEDS {
        let missing = needed.iter().find(|needed| !options.contains_key(**needed));
        if let (true, Some(missing)) = (options.contains_key(key), missing) {
            return Err(Fault::invalid(format!("missing required option: \"{missing}\"")));
        }
    }
    if options.contains_key("size") {
        // Docker's words where the file system has no quotas for directories.
        return Err(Fault::invalid("quota size requested but no quota support")
            .with_hint("limit memory instead with `type=tmpfs,device=tmpfs,o=size=…`, or mount a file system of that size"));
    }
    let text = |key: &str| options.get(key).map_or("", String::as_str);
    let (kind, device) = (text("type"), text("device"));
    if kind.is_empty() && device.is_empty() {
        return Ok(Backing::Directory);
    }
    let words: Vec<&str> = text("o").split(',').filter(|word| !word.is_empty()).collect();
    if words.iter().any(|word| matches!(*word, "bind" | "rbind")) {
        return bind(device, &words);
    }
    if matches!(kind, "" | "none") {
        return Err(Fault::invalid(format!("invalid option: \"type={kind}\" without `o=bind`")));
    }
    Ok(Backing::FileSystem(file_system(kind, device, &words)?))
}

fn bind(device: &str, words: &[&str]) -> Result<Backing, Fault> {
    if !device.starts_with('/') {
        return Err(Fault::invalid(format!("invalid option: \"device={device}\""))
            .with_hint("a bind needs an absolute path of the host"));
    }
    let mut options = Vec::new();
    for word in words {
        match *word {
            "bind" | "rbind" | "defaults" => {}
            word if WORDS.iter().any(|(known, ..)| *known == word) => options.push(word.to_owned()),
            word => return Err(Fault::invalid(format!("invalid option: \"o={word}\" of a bind"))),
        }
    }
    let recursive = words.contains(&"rbind");
    Ok(Backing::Bind { source: crate::spec::mounts::clean(device).into(), recursive, options })
}

fn file_system(kind: &str, device: &str, words: &[&str]) -> Result<FileSystem, Fault> {
    let mut attributes = 0;
    let mut options = Vec::new();
    for word in words {
        if let Some((_, set, clear)) = WORDS.iter().find(|(known, ..)| known == word) {
            attributes = attributes & !clear | set;
            continue;
        }
        match *word {
            "defaults" | "async" | "loud" | "silent" | "norelatime" | "nostrictatime" => {}
            "remount" | "move" => {
                return Err(Fault::invalid(format!("invalid option: \"o={word}\"")));
            }
            word if word.contains('\0') => {
                return Err(Fault::invalid("invalid option: `o` has a zero byte"));
            }
            word => options.push(match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.to_owned(), None),
            }),
        }
    }
    let volatile = matches!(kind, "tmpfs" | "ramfs");
    if attributes & attribute::READ_ONLY != 0 && !volatile {
        options.push(("ro".to_owned(), None));
    }
    Ok(FileSystem {
        kind: kind.to_owned(),
        device: device.to_owned(),
        options,
        attributes,
        volatile,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[(&str, &str)]) -> Result<Backing, String> {
        let options = text.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        parse(&options).map_err(|fault| fault.message().to_owned())
    }

    #[test]
    fn what_stands_behind_a_volume() {
        assert_eq!(read(&[]), Ok(Backing::Directory));
        assert_eq!(
            read(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m,uid=7,noexec")]),
            Ok(Backing::FileSystem(FileSystem {
                kind: "tmpfs".into(),
                device: "tmpfs".into(),
                options: vec![("size".into(), Some("1m".into())), ("uid".into(), Some("7".into()))],
                attributes: attribute::NO_EXEC,
                volatile: true,
            }))
        );
        assert_eq!(
            read(&[("type", "none"), ("device", "/a/../b"), ("o", "rbind,ro")]),
            Ok(Backing::Bind { source: "/b".into(), recursive: true, options: vec!["ro".into()] })
        );
        let Ok(Backing::FileSystem(nfs)) =
            read(&[("type", "nfs"), ("device", ":/export"), ("o", "addr=10.0.0.1,rw,nolock,soft")])
        else {
            panic!("a file system")
        };
        assert_eq!(nfs.options.len(), 3, "{nfs:?}");
        assert!(!nfs.volatile);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (options, message) in [
            (&[("colour", "red")][..], "invalid option: \"colour\""),
            (&[("type", "tmpfs")][..], "missing required option: \"device\""),
            (&[("device", "/x")][..], "missing required option: \"type\""),
            (&[("o", "ro")][..], "missing required option: \"device\""),
            (&[("size", "10m")][..], "quota size requested but no quota support"),
            (
                &[("type", "none"), ("device", "x"), ("o", "bind")][..],
                "invalid option: \"device=x\"",
            ),
            (
                &[("type", "none"), ("device", "/x"), ("o", "bind,size=1")][..],
                "invalid option: \"o=size=1\" of a bind",
            ),
            (
                &[("type", "none"), ("device", "/x")][..],
                "invalid option: \"type=none\" without `o=bind`",
            ),
        ] {
            assert_eq!(read(options), Err(message.to_owned()));
        }
    }
}
