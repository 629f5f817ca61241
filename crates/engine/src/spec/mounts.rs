//! Pure: binds, volumes, tmpfs mounts: from what was asked to mount points, and on to the runtime spec.

use crate::model::{
    Bind, ContainerConfig, HostConfig, MountKind, MountPoint, MountRequest, Propagation,
};
use naru_errdefs::Fault;
use naru_oci::runtime::Mount;
use std::collections::BTreeSet;
use std::path::{Component, Path};

/// The mount points of a container, before volumes have names and places. The order is that of mounting.
pub(crate) fn points(
    config: &ContainerConfig,
    host: &HostConfig,
) -> Result<Vec<MountPoint>, Fault> {
    let mut points = Vec::new();
    for text in &host.binds {
        points.push(of_bind(&parse_bind(text)?)?);
    }
    for request in &host.mounts {
        points.push(of_request(request)?);
    }
    for (target, options) in &host.tmpfs {
        check_target(target, target)?;
        points.push(MountPoint {
            destination: clean(target),
            options: tmpfs_options(options)?,
            mode: options.clone(),
            ..empty(MountKind::Tmpfs)
        });
    }
    let mut seen = BTreeSet::new();
    for point in &points {
        if !seen.insert(point.destination.clone()) {
            return Err(Fault::invalid(format!("Duplicate mount point: {}", point.destination)));
        }
    }
    for target in &config.volumes {
        check_target(target, target)?;
        let destination = clean(target);
        if seen.insert(destination.clone()) {
            points.push(MountPoint { destination, anonymous: true, ..empty(MountKind::Volume) });
        }
    }
    // Outer ones first, so that none hides another.
    points.sort_by_key(|point| depth(&point.destination));
    Ok(points)
}

fn depth(path: &str) -> usize {
    path.matches('/').count()
}

fn empty(kind: MountKind) -> MountPoint {
    MountPoint {
        kind,
        name: None,
        source: String::new(),
        destination: String::new(),
        mode: String::new(),
        writable: true,
        propagation: None,
        anonymous: false,
        non_recursive: false,
        options: Vec::new(),
    }
}

/// `path` without doubled slashes, `.` and `..`, as text; it is resolved inside the root later.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => {
                parts.pop();
            }
            Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    format!("/{}", parts.join("/"))
}

fn check_target(target: &str, whole: &str) -> Result<(), Fault> {
    if !target.starts_with('/') {
        return Err(Fault::invalid(format!(
            "invalid mount config: invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    if clean(target) == "/" {
        return Err(Fault::invalid(format!(
            "invalid volume specification: '{whole}': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
        )));
    }
    Ok(())
}

/// Takes `SOURCE:TARGET[:OPTIONS]` apart.
pub(crate) fn parse_bind(text: &str) -> Result<Bind, Fault> {
    let refused = || Fault::invalid(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match *parts.as_slice() {
        [source, target] => (source, target, ""),
        [source, target, mode] => (source, target, mode),
        _ => return Err(refused()),
    };
    if source.is_empty() || target.is_empty() {
        return Err(refused());
    }
    check_target(target, text)?;
    if !source.starts_with('/') && !is_volume_name(source) {
        return Err(Fault::invalid(format!(
            "invalid volume specification: '{text}': \"{source}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        )));
    }
    Ok(Bind { source: source.to_owned(), target: target.to_owned(), mode: mode.to_owned() })
}

/// Whether a volume may have this name.
pub(crate) fn is_volume_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() > 1
        && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn of_bind(bind: &Bind) -> Result<MountPoint, Fault> {
    let volume = !bind.source.starts_with('/');
    let mut point = empty(if volume { MountKind::Volume } else { MountKind::Bind });
    point.destination = clean(&bind.target);
    point.mode.clone_from(&bind.mode);
    if volume {
        point.name = Some(bind.source.clone());
    } else {
        point.source = clean(&bind.source);
        point.propagation = Some(Propagation::RPrivate);
    }
    for option in bind.mode.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => point.writable = false,
            // SELinux is not there, and the rest asks for what holds anyhow.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            "nocopy" if volume => point.options.push("nocopy".to_owned()),
            option => match Propagation::parse(option) {
                Some(propagation) if !volume => point.propagation = Some(propagation),
                _ => {
                    return Err(Fault::invalid(format!("invalid mode: {}", bind.mode)));
                }
            },
        }
    }
    Ok(point)
}

fn of_request(request: &MountRequest) -> Result<MountPoint, Fault> {
    let kind = request.kind.as_str();
    let refuse =
        |why: &str| Err(Fault::invalid(format!("invalid mount config for type \"{kind}\": {why}")));
    if request.target.is_empty() {
        return refuse("field Target must not be empty");
    }
    if !request.target.starts_with('/') {
        return refuse(&format!(
            "invalid mount path: '{}' mount path must be absolute",
            request.target
        ));
    }
    if clean(&request.target) == "/" {
        return refuse("invalid specification: destination can't be '/'");
    }
    if request.kind != MountKind::Bind && request.bind.is_some() {
        return refuse("field BindOptions must not be specified");
    }
    if request.kind != MountKind::Tmpfs && request.tmpfs.is_some() {
        return refuse("field TmpfsOptions must not be specified");
    }
    let mut point = empty(request.kind);
    point.destination = clean(&request.target);
    point.writable = !request.read_only;
    match request.kind {
        MountKind::Bind => {
            if request.source.is_empty() {
                return refuse("field Source must not be empty");
            }
            if !request.source.starts_with('/') {
                return refuse(&format!(
                    "invalid mount path: '{}' mount path must be absolute",
                    request.source
                ));
            }
            let options = request.bind.clone().unwrap_or_default();
            point.source = clean(&request.source);
            point.propagation = Some(options.propagation.unwrap_or(Propagation::RPrivate));
            point.non_recursive = options.non_recursive;
            if options.create_source {
                point.options.push("create".to_owned());
            } else {
                point.options.push("must-exist".to_owned());
            }
            if options.read_only_force_recursive {
                if options.read_only_non_recursive {
                    return refuse(
                        "ReadOnlyForceRecursive and ReadOnlyNonRecursive exclude each other",
                    );
                }
                point.options.push("rro".to_owned());
            }
        }
        MountKind::Volume => {
            if request.source.is_empty() {
                point.anonymous = true;
            } else if is_volume_name(&request.source) {
                point.name = Some(request.source.clone());
            } else {
                return refuse(&format!(
                    "\"{}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed",
                    request.source
                ));
            }
            if request.volume_no_copy {
                point.options.push("nocopy".to_owned());
            }
        }
        MountKind::Tmpfs => {
            if !request.source.is_empty() {
                return refuse("field Source must not be specified");
            }
            point.options = tmpfs_options("")?;
            if let Some(options) = &request.tmpfs {
                if options.size > 0 {
                    point.options.push(format!("size={}", options.size));
                }
                if options.mode != 0 {
                    point.options.push(format!("mode={:o}", options.mode));
                }
                point.options.extend(options.options.iter().cloned());
            }
        }
    }
    Ok(point)
}

const TMPFS_FLAGS: [&str; 22] = [
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "rw",
    "ro",
    "sync",
    "async",
    "dirsync",
    "remount",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "mand",
    "nomand",
];
const TMPFS_KEYS: [&str; 6] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"];

fn tmpfs_options(text: &str) -> Result<Vec<String>, Fault> {
    let mut options: Vec<String> =
        ["noexec", "nosuid", "nodev"].iter().map(|&flag| flag.to_owned()).collect();
    for option in text.split(',').filter(|option| !option.is_empty()) {
        let key = option.split_once('=').map(|(key, _)| key);
        let known = match key {
            Some(key) => TMPFS_KEYS.contains(&key) || key == "mpol",
            None => TMPFS_FLAGS.contains(&option),
        };
        if !known {
            return Err(Fault::invalid(format!("Invalid tmpfs option [\"{option}\"]")));
        }
        let opposite =
            option.strip_prefix("no").map_or_else(|| format!("no{option}"), str::to_owned);
        options.retain(|other| *other != opposite && other != option);
        options.push(option.to_owned());
    }
    Ok(options)
}

/// One entry of the runtime spec.
pub(crate) fn entry(destination: &str, typ: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(destination.into())
        .set_typ(Some(typ.to_owned()))
        .set_source(Some(source.into()))
        .set_options(Some(options.iter().map(|&option| option.to_owned()).collect()));
    mount
}

/// A mount point in the runtime spec's words.
pub(crate) fn of_point(point: &MountPoint) -> Mount {
    let own = |option: &str| point.options.iter().any(|other| other == option);
    match point.kind {
        MountKind::Tmpfs => {
            let mut options: Vec<&str> = point.options.iter().map(String::as_str).collect();
            if !point.writable {
                options.push("ro");
            }
            entry(&point.destination, "tmpfs", "tmpfs", &options)
        }
        MountKind::Bind | MountKind::Volume => {
            let mut options = vec![if point.non_recursive { "bind" } else { "rbind" }];
            options.push(if point.writable {
                "rw"
            } else if own("rro") {
                "rro"
            } else {
                "ro"
            });
            options.push(point.propagation.unwrap_or(Propagation::RPrivate).as_str());
            entry(&point.destination, "bind", &point.source, &options)
        }
    }
}

/// What the root's own propagation must be for the binds' to work.
pub(crate) fn root_propagation(points: &[MountPoint]) -> Option<&'static str> {
    let has = |wanted: &[Propagation]| {
        points.iter().any(|point| point.propagation.is_some_and(|one| wanted.contains(&one)))
    };
    if has(&[Propagation::Shared, Propagation::RShared]) {
        Some("rshared")
    } else if has(&[Propagation::Slave, Propagation::RSlave]) {
        Some("rslave")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BindOptions, TmpfsOptions};

    fn bind(text: &str) -> String {
        match parse_bind(text).and_then(|bind| of_bind(&bind)) {
            Ok(point) => {
                let mount = of_point(&point);
                format!(
                    "{} {} {}",
                    point.name.unwrap_or(point.source),
                    mount.destination().display(),
                    mount.options().clone().unwrap().join(",")
                )
            }
            Err(fault) => fault.message().to_owned(),
        }
    }

    #[test]
    fn binds_are_read_as_docker_reads_them() {
        for (text, want) in [
            ("/a:/b", "/a /b rbind,rw,rprivate"),
            ("/a:/b:ro", "/a /b rbind,ro,rprivate"),
            ("/a/../x//y:/b/.:rslave,z", "/x/y /b rbind,rw,rslave"),
            ("vol:/b:ro,nocopy", "vol /b rbind,ro,rprivate"),
            ("/a", "invalid volume specification: '/a'"),
            ("/a:/b:ro:x", "invalid volume specification: '/a:/b:ro:x'"),
            (":/b", "invalid volume specification: ':/b'"),
            ("/a:/b:foo", "invalid mode: foo"),
            ("/a:b", "invalid mount config: invalid mount path: 'b' mount path must be absolute"),
            (
                "/a:/",
                "invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
            ),
            (
                "a/b:/x",
                "invalid volume specification: 'a/b:/x': \"a/b\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path",
            ),
        ] {
            assert_eq!(bind(text), want, "{text}");
        }
    }

    #[test]
    fn mount_flags_become_mounts() {
        let show = |request: MountRequest| match of_request(&request) {
            Ok(point) => of_point(&point).options().clone().unwrap().join(","),
            Err(fault) => fault.message().to_owned(),
        };
        let base = MountRequest { target: "/t".into(), ..MountRequest::default() };
        assert_eq!(
            show(MountRequest {
                source: "/s".into(),
                read_only: true,
                bind: Some(BindOptions {
                    propagation: Some(Propagation::RShared),
                    non_recursive: true,
                    ..BindOptions::default()
                }),
                ..base.clone()
            }),
            "bind,ro,rshared"
        );
        assert_eq!(
            show(MountRequest {
                kind: MountKind::Tmpfs,
                tmpfs: Some(TmpfsOptions { size: 4096, mode: 0o700, options: vec!["exec".into()] }),
                ..base.clone()
            }),
            "noexec,nosuid,nodev,size=4096,mode=700,exec"
        );
        assert_eq!(
            show(base.clone()),
            "invalid mount config for type \"bind\": field Source must not be empty"
        );
        assert_eq!(
            show(MountRequest { kind: MountKind::Tmpfs, source: "x".into(), ..base.clone() }),
            "invalid mount config for type \"tmpfs\": field Source must not be specified"
        );
        assert_eq!(
            show(MountRequest { target: "t".into(), ..base }),
            "invalid mount config for type \"bind\": invalid mount path: 't' mount path must be absolute"
        );
    }

    #[test]
    fn points_are_unique_and_outer_ones_come_first() {
        let config = ContainerConfig {
            volumes: ["/data".to_owned(), "/a/b".to_owned()].into(),
            ..ContainerConfig::default()
        };
        let host = HostConfig {
            binds: vec!["/x:/a/b/c".into(), "/y:/a/b".into()],
            tmpfs: [("/run".to_owned(), "size=64k,exec".to_owned())].into(),
            ..HostConfig::default()
        };
        let list: Vec<String> =
            points(&config, &host).unwrap().into_iter().map(|point| point.destination).collect();
        assert_eq!(list, ["/run", "/data", "/a/b", "/a/b/c"]);
        let twice = HostConfig { binds: vec!["/x:/a".into(), "/y:/a/".into()], ..host };
        assert_eq!(points(&config, &twice).unwrap_err().message(), "Duplicate mount point: /a");
        assert_eq!(tmpfs_options("foo").unwrap_err().message(), "Invalid tmpfs option [\"foo\"]");
        assert_eq!(tmpfs_options("exec,size=1m").unwrap(), ["nosuid", "nodev", "exec", "size=1m"]);
    }
}
