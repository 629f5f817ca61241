//! Pure: the device nodes of a container.

use super::PlanError;
use naru_oci::runtime::{LinuxDevice, LinuxDeviceType};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePlan {
    /// Where it is in the container.
    pub path: PathBuf,
    /// `c`, `b` or `p`.
    pub kind: char,
    /// The driver.
    pub major: u32,
    /// The device of the driver.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Whether the host's node is bound instead of a new one made: in a user namespace nobody may make one.
    pub bind: bool,
}

/// What every container has: path, major and minor number.
const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The default devices and those of the spec, which win over a default of the same path.
pub(crate) fn resolve(given: &[LinuxDevice], bind: bool) -> Result<Vec<DevicePlan>, PlanError> {
    let mut devices = DEFAULT
        .iter()
        .map(|(path, major, minor)| DevicePlan {
            path: PathBuf::from(path),
            kind: 'c',
            major: *major,
            minor: *minor,
            mode: 0o666,
            uid: 0,
            gid: 0,
            bind,
        })
        .collect::<Vec<_>>();
    for device in given {
        let device = one(device, bind)?;
        devices.retain(|other| other.path != device.path);
        // Terminals of the container's own devpts are reached through these; a node would lead to the host's.
        if device.path != Path::new("/dev/ptmx") && device.path != Path::new("/dev/console") {
            devices.push(device);
        }
    }
    Ok(devices)
}

fn one(device: &LinuxDevice, bind: bool) -> Result<DevicePlan, PlanError> {
    let path = super::mounts::clean(device.path());
    let invalid = |why: &str| {
        PlanError::invalid("linux.devices", format!("`{}`: {why}", device.path().display()))
    };
    let kind = match device.typ() {
        LinuxDeviceType::B => 'b',
        LinuxDeviceType::C | LinuxDeviceType::U => 'c',
        LinuxDeviceType::P => 'p',
        LinuxDeviceType::A => return Err(invalid("a node cannot be of the type `a`")),
    };
    if path == Path::new("/") {
        return Err(invalid("not a path of a device"));
    }
    let number = |value: i64| u32::try_from(value).map_err(|_range| invalid("number out of range"));
    Ok(DevicePlan {
        path,
        kind,
        major: number(device.major())?,
        minor: number(device.minor())?,
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
        bind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_oci::runtime::LinuxDeviceBuilder;

    fn device(path: &str, kind: LinuxDeviceType, major: i64) -> LinuxDevice {
        LinuxDeviceBuilder::default().path(path).typ(kind).major(major).minor(0).build().unwrap()
    }

    #[test]
    fn a_given_device_wins_over_the_default() {
        let devices = resolve(&[device("/dev/null", LinuxDeviceType::C, 9)], false).unwrap();
        assert_eq!(devices.len(), 6);
        assert!(
            devices.iter().any(|found| found.path == Path::new("/dev/null") && found.major == 9)
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            device("/dev/x", LinuxDeviceType::A, 1),
            device("/dev/x", LinuxDeviceType::C, -1),
            device("/", LinuxDeviceType::C, 1),
        ] {
            assert!(resolve(&[bad], false).is_err());
        }
    }
}
