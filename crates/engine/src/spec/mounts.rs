//! Pure: binds, volumes, tmpfs mounts, images: from what was asked to mount points, and on to the runtime spec.

mod request;

use super::Prepared;
use crate::model::{Bind, ContainerConfig, HostConfig, MountKind, MountPoint, Propagation};
use naru_errdefs::Fault;
use naru_oci::runtime::Mount;
use request::{of_request, tmpfs_options};
use std::collections::BTreeSet;
use std::path::{Component, Path};

/// The mount points of a container, before volumes have names and places. The order is that of mounting. `inherited`
/// are those of the containers that `host` names; what the container asks for itself goes before them.
pub(crate) fn points(
    config: &ContainerConfig,
    host: &HostConfig,
    inherited: Vec<MountPoint>,
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
    for point in inherited {
        if seen.insert(point.destination.clone()) {
            points.push(point);
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

/// Takes `CONTAINER[:ro|:rw]` apart: the container, and whether its mounts may be written as there.
pub(crate) fn parse_volumes_from(text: &str) -> Result<(&str, bool), Fault> {
    if text.is_empty() {
        return Err(Fault::invalid("malformed volumes-from specification: "));
    }
    match text.split_once(':') {
        None => Ok((text, true)),
        Some((container, mode)) => {
            let mut writable = true;
            for word in mode.split(',').filter(|word| !word.is_empty()) {
                match word {
                    "ro" => writable = false,
                    "rw" | "z" | "Z" => {}
                    _ => return Err(Fault::invalid(format!("invalid mode: {mode}"))),
                }
            }
            Ok((container, writable))
        }
    }
}

/// The mounts of another container as they are inherited. Memory is each container's own.
pub(crate) fn inherit(points: &[MountPoint], writable: bool) -> Vec<MountPoint> {
    points
        .iter()
        .filter(|point| point.kind != MountKind::Tmpfs)
        .map(|point| {
            let mut point = point.clone();
            point.writable &= writable;
            // It is filled already, or was not to be.
            if point.kind == MountKind::Volume && !point.has("nocopy") {
                point.options.push("nocopy".to_owned());
            }
            point
        })
        .collect()
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
        subpath: None,
        volume_labels: None,
        volume_options: None,
        image: None,
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
    if !source.starts_with('/') {
        crate::volumes::check_name(source)?;
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
        if point.mode.is_empty() {
            "z".clone_into(&mut point.mode);
        }
    } else {
        point.source = clean(&bind.source);
        point.propagation = Some(Propagation::RPrivate);
    }
    for option in bind.mode.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => point.writable = false,
            // Without the mounts below, and with them, which is what holds anyhow.
            "bind" if !volume => point.non_recursive = true,
            "rbind" if !volume => point.non_recursive = false,
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

/// A mount point in the runtime spec's words. `prepared` is what was made ready for it.
pub(crate) fn of_point(point: &MountPoint, prepared: Option<&Prepared>) -> Mount {
    if point.kind == MountKind::Tmpfs {
        let mut options: Vec<&str> = point.options.iter().map(String::as_str).collect();
        if !point.writable {
            options.push("ro");
        }
        return entry(&point.destination, "tmpfs", "tmpfs", &options);
    }
    let recursive = !point.non_recursive && prepared.is_none_or(|prepared| prepared.recursive);
    let mut options = vec![if recursive { "rbind" } else { "bind" }];
    options
        .extend(prepared.iter().flat_map(|prepared| prepared.options.iter().map(String::as_str)));
    // As Docker since 25: what is read-only is so with all that is mounted below, unless that was asked for.
    if !point.writable {
        options.push(if point.has("writable-below") { "ro" } else { "rro" });
    } else if prepared.is_none_or(|prepared| prepared.options.is_empty()) {
        options.push("rw");
    }
    options.push(point.propagation.unwrap_or(Propagation::RPrivate).as_str());
    let source = match prepared {
        Some(prepared) => prepared.source.to_string_lossy(),
        None => point.source.as_str().into(),
    };
    entry(&point.destination, "bind", &source, &options)
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
    use crate::model::{BindOptions, MountRequest, TmpfsOptions};

    fn bind(text: &str) -> String {
        match parse_bind(text).and_then(|bind| of_bind(&bind)) {
            Ok(point) => {
                let mount = of_point(&point, None);
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
            ("/a:/b:ro", "/a /b rbind,rro,rprivate"),
            ("/a/../x//y:/b/.:rslave,z", "/x/y /b rbind,rw,rslave"),
            ("vol:/b:ro,nocopy", "vol /b rbind,rro,rprivate"),
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
                "create a/b: \"a/b\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path",
            ),
        ] {
            assert_eq!(bind(text), want, "{text}");
        }
    }

    #[test]
    fn mount_flags_become_mounts() {
        let show = |request: MountRequest| match of_request(&request) {
            Ok(point) => of_point(&point, None).options().clone().unwrap().join(","),
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
            "bind,rro,rshared"
        );
        assert_eq!(
            show(MountRequest {
                source: "/s".into(),
                read_only: true,
                bind: Some(BindOptions { read_only_non_recursive: true, ..BindOptions::default() }),
                ..base.clone()
            }),
            "rbind,ro,rprivate"
        );
        let volume = MountRequest { kind: MountKind::Volume, ..base.clone() };
        for (subpath, source, want) in [
            ("a/b", "vol", "rbind,rw,rprivate"),
            (
                "../a",
                "vol",
                "invalid mount config for type \"volume\": subpath must be a relative path within the volume",
            ),
            (
                "/a",
                "vol",
                "invalid mount config for type \"volume\": subpath must be a relative path within the volume",
            ),
            (
                "a",
                "",
                "invalid mount config for type \"volume\": must not set Subpath when using anonymous volumes",
            ),
        ] {
            let request =
                MountRequest { source: source.into(), subpath: subpath.into(), ..volume.clone() };
            assert_eq!(show(request), want, "{subpath}");
        }
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
        let list: Vec<String> = points(&config, &host, Vec::new())
            .unwrap()
            .into_iter()
            .map(|point| point.destination)
            .collect();
        assert_eq!(list, ["/run", "/data", "/a/b", "/a/b/c"]);
        let twice = HostConfig { binds: vec!["/x:/a".into(), "/y:/a/".into()], ..host };
        assert_eq!(
            points(&config, &twice, Vec::new()).unwrap_err().message(),
            "Duplicate mount point: /a"
        );
        assert_eq!(tmpfs_options("foo").unwrap_err().message(), "Invalid tmpfs option [\"foo\"]");
        assert_eq!(tmpfs_options("exec,size=1m").unwrap(), ["nosuid", "nodev", "exec", "size=1m"]);
    }

    #[test]
    fn mounts_of_others_give_way_and_lose_the_right_to_write() {
        let host = HostConfig {
            binds: vec!["/x:/a".into(), "vol:/b".into()],
            tmpfs: [("/t".to_owned(), String::new())].into(),
            ..HostConfig::default()
        };
        let config = ContainerConfig::default();
        let theirs = points(&config, &host, Vec::new()).unwrap();
        let inherited = inherit(&theirs, false);
        let own = HostConfig { binds: vec!["/y:/a".into()], ..HostConfig::default() };
        let list: Vec<(String, String, bool)> = points(&config, &own, inherited)
            .unwrap()
            .into_iter()
            .map(|point| (point.destination, point.name.unwrap_or(point.source), point.writable))
            .collect();
        assert_eq!(list, [("/a".into(), "/y".into(), true), ("/b".into(), "vol".into(), false)]);
        assert_eq!(parse_volumes_from("c:ro").unwrap(), ("c", false));
        assert_eq!(parse_volumes_from("c").unwrap(), ("c", true));
        assert_eq!(parse_volumes_from("c:xx").unwrap_err().message(), "invalid mode: xx");
    }
}
