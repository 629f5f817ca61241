//! Pure: mounts in the long form, between the words of the API and those of the engine.

use super::some;
use naru_api_types::container as api;
use naru_engine as engine;
use naru_errdefs::Fault;

/// A mount that a client asks for.
pub(crate) fn mount(mount: api::Mount) -> Result<engine::MountRequest, Fault> {
    let shown = mount.r#type.clone();
    let refuse = move |problem: &str| {
        Err(Fault::invalid(format!("invalid mount config for type \"{shown}\": {problem}")))
    };
    let kind = match mount.r#type.as_str() {
        "bind" => engine::MountKind::Bind,
        "volume" => engine::MountKind::Volume,
        "tmpfs" => engine::MountKind::Tmpfs,
        "image" => engine::MountKind::Image,
        other => {
            return Err(Fault::invalid(format!("mount type unknown: \"{other}\""))
                .with_hint("the types are bind, volume, tmpfs and image"));
        }
    };
    for (given, field, own) in [
        (mount.bind_options.is_some(), "BindOptions", engine::MountKind::Bind),
        (mount.volume_options.is_some(), "VolumeOptions", engine::MountKind::Volume),
        (mount.tmpfs_options.is_some(), "TmpfsOptions", engine::MountKind::Tmpfs),
        (mount.image_options.is_some(), "ImageOptions", engine::MountKind::Image),
    ] {
        if given && kind != own {
            return refuse(&format!("field {field} must not be specified"));
        }
    }
    let bind = match mount.bind_options {
        None => None,
        Some(options) => Some(bind(options)?),
    };
    let tmpfs = mount.tmpfs_options.map(|options| engine::TmpfsOptions {
        size: options.size_bytes.unwrap_or(0),
        mode: options.mode.unwrap_or(0),
        options: options.options.unwrap_or_default().iter().map(|words| words.join("=")).collect(),
    });
    let volume = mount.volume_options.unwrap_or_default();
    let driver = volume.driver_config.unwrap_or_default();
    let subpath = match mount.image_options {
        Some(options) => options.subpath,
        None => volume.subpath,
    };
    Ok(engine::MountRequest {
        kind,
        source: mount.source,
        target: mount.target,
        read_only: mount.read_only,
        bind,
        volume_no_copy: volume.no_copy,
        volume_labels: volume.labels.filter(|labels| !labels.is_empty()),
        volume_driver: driver.name,
        volume_options: driver.options.filter(|options| !options.is_empty()),
        subpath,
        tmpfs,
    })
}

fn bind(options: api::BindOptions) -> Result<engine::BindOptions, Fault> {
    let propagation = match options.propagation.as_str() {
        "" => None,
        text => Some(engine::Propagation::parse(text).ok_or_else(|| {
            Fault::invalid(format!(
                "invalid mount config for type \"bind\": invalid propagation mode: {text}"
            ))
        })?),
    };
    Ok(engine::BindOptions {
        propagation,
        non_recursive: options.non_recursive,
        create_source: options.create_mountpoint,
        read_only_non_recursive: options.read_only_non_recursive,
        read_only_force_recursive: options.read_only_force_recursive,
    })
}

/// The same on the way out.
pub(crate) fn shown(request: engine::MountRequest) -> api::Mount {
    let image = request.kind == engine::MountKind::Image;
    let driver = !request.volume_driver.is_empty() || request.volume_options.is_some();
    let volume = api::VolumeOptions {
        no_copy: request.volume_no_copy,
        labels: request.volume_labels,
        subpath: if image { String::new() } else { request.subpath.clone() },
        driver_config: driver.then_some(api::VolumeDriver {
            name: request.volume_driver,
            options: request.volume_options,
        }),
    };
    api::Mount {
        r#type: request.kind.as_str().to_owned(),
        source: request.source,
        target: request.target,
        read_only: request.read_only,
        consistency: String::new(),
        bind_options: request.bind.map(|options| api::BindOptions {
            propagation: options.propagation.map_or("", |p| p.as_str()).to_owned(),
            non_recursive: options.non_recursive,
            create_mountpoint: options.create_source,
            read_only_non_recursive: options.read_only_non_recursive,
            read_only_force_recursive: options.read_only_force_recursive,
        }),
        volume_options: Some(volume).filter(|volume| *volume != api::VolumeOptions::default()),
        image_options: (image && !request.subpath.is_empty())
            .then_some(api::ImageOptions { subpath: request.subpath }),
        tmpfs_options: request.tmpfs.map(|options| api::TmpfsOptions {
            size_bytes: Some(options.size).filter(|size| *size != 0),
            mode: Some(options.mode).filter(|mode| *mode != 0),
            options: some(
                options
                    .options
                    .iter()
                    .map(|option| option.splitn(2, '=').map(str::to_owned).collect())
                    .collect(),
            ),
        }),
    }
}

/// A mount of a container as `inspect` shows it.
pub(crate) fn point(point: engine::MountPoint) -> api::MountPoint {
    let volume = point.kind == engine::MountKind::Volume;
    api::MountPoint {
        r#type: point.kind.as_str().to_owned(),
        name: point.name.unwrap_or_default(),
        source: point.source,
        destination: point.destination,
        driver: if volume { "local".to_owned() } else { String::new() },
        mode: point.mode,
        rw: point.writable,
        propagation: point.propagation.map_or("", |p| p.as_str()).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn there_and_back(body: &Value) -> Value {
        let wire: api::Mount = serde_json::from_value(body.clone()).unwrap();
        match mount(wire) {
            Ok(request) => serde_json::to_value(shown(request)).unwrap(),
            Err(fault) => fault.message().into(),
        }
    }

    #[test]
    fn mounts_come_back_as_they_were_asked_for() {
        for body in [
            json!({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true,
                   "BindOptions": {"Propagation": "rslave", "NonRecursive": true}}),
            json!({"Type": "volume", "Source": "v", "Target": "/b", "VolumeOptions": {
                   "NoCopy": true, "Labels": {"a": "b"}, "Subpath": "x/y",
                   "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs"}}}}),
            json!({"Type": "volume", "Target": "/b"}),
            json!({"Type": "image", "Source": "i", "Target": "/b",
                   "ImageOptions": {"Subpath": "etc"}}),
            json!({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096}}),
        ] {
            assert_eq!(there_and_back(&body), body);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (body, message) in [
            (json!({"Type": "npipe", "Target": "/b"}), "mount type unknown: \"npipe\""),
            (
                json!({"Type": "tmpfs", "Target": "/b", "BindOptions": {}}),
                "invalid mount config for type \"tmpfs\": field BindOptions must not be specified",
            ),
            (
                json!({"Type": "bind", "Source": "/a", "Target": "/b",
                       "BindOptions": {"Propagation": "up"}}),
                "invalid mount config for type \"bind\": invalid propagation mode: up",
            ),
        ] {
            assert_eq!(there_and_back(&body), Value::from(message));
        }
    }
}
