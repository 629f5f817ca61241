//! Pure: device rules, and device nodes out of what the host was found to have.

use crate::model::DeviceMapping;
use naru_errdefs::Fault;
use naru_oci::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};

/// A device of the host, looked up before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostDevice {
    /// Where, inside.
    pub(crate) path: String,
    /// Block or character.
    pub(crate) block: bool,
    /// The driver.
    pub(crate) major: u32,
    /// The device of the driver.
    pub(crate) minor: u32,
    /// Permission bits.
    pub(crate) mode: u32,
    /// The owner.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
    /// Some of `rwm`.
    pub(crate) permissions: String,
}

/// One line of the devices controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule(LinuxDeviceCgroup);

impl Rule {
    fn new(
        allow: bool,
        typ: LinuxDeviceType,
        numbers: (Option<i64>, Option<i64>),
        access: &str,
    ) -> Rule {
        let mut rule = LinuxDeviceCgroup::default();
        rule.set_allow(allow)
            .set_typ(Some(typ))
            .set_major(numbers.0)
            .set_minor(numbers.1)
            .set_access(Some(access.to_owned()));
        Rule(rule)
    }

    /// Reads `c 42:* rmw`.
    pub(crate) fn parse(text: &str) -> Result<Rule, Fault> {
        let refused = || Fault::invalid(format!("invalid device cgroup rule format: '{text}'"));
        let words: Vec<&str> = text.split(' ').collect();
        let &[kind, numbers, access] = words.as_slice() else { return Err(refused()) };
        let typ = match kind {
            "a" => LinuxDeviceType::A,
            "b" => LinuxDeviceType::B,
            "c" => LinuxDeviceType::C,
            _ => return Err(refused()),
        };
        let (major, minor) = numbers.split_once(':').ok_or_else(refused)?;
        let number = |text: &str| match text {
            "*" => Ok(None),
            text => text.parse::<u32>().map(|number| Some(i64::from(number))),
        };
        let (Ok(major), Ok(minor)) = (number(major), number(minor)) else { return Err(refused()) };
        let good = !access.is_empty()
            && access.len() <= 3
            && access.chars().all(|c| matches!(c, 'r' | 'w' | 'm'));
        if good { Ok(Rule::new(true, typ, (major, minor), access)) } else { Err(refused()) }
    }
}

/// Docker's default: nothing but the harmless ones, and making any node.
fn default_rules() -> Vec<Rule> {
    use LinuxDeviceType::{A, B, C};
    let one = |major, minor| Rule::new(true, C, (Some(major), Some(minor)), "rwm");
    vec![
        Rule::new(false, A, (None, None), "rwm"),
        Rule::new(true, C, (None, None), "m"),
        Rule::new(true, B, (None, None), "m"),
        one(1, 3),
        one(1, 5),
        one(1, 7),
        one(1, 8),
        one(1, 9),
        one(5, 0),
        one(5, 1),
        one(5, 2),
        Rule::new(true, C, (Some(136), None), "rwm"),
    ]
}

/// The rules of a container.
pub(crate) fn rules(
    privileged: bool,
    devices: &[HostDevice],
    more: &[String],
) -> Result<Vec<LinuxDeviceCgroup>, Fault> {
    if privileged {
        return Ok(vec![Rule::new(true, LinuxDeviceType::A, (None, None), "rwm").0]);
    }
    let mut rules = default_rules();
    for device in devices {
        let typ = if device.block { LinuxDeviceType::B } else { LinuxDeviceType::C };
        let numbers = (Some(i64::from(device.major)), Some(i64::from(device.minor)));
        rules.push(Rule::new(true, typ, numbers, &device.permissions));
    }
    for text in more {
        rules.push(Rule::parse(text)?);
    }
    Ok(rules.into_iter().map(|rule| rule.0).collect())
}

/// The nodes of a container.
pub(crate) fn nodes(devices: &[HostDevice]) -> Vec<LinuxDevice> {
    devices
        .iter()
        .map(|device| {
            let mut node = LinuxDevice::default();
            node.set_path(device.path.clone().into())
                .set_typ(if device.block { LinuxDeviceType::B } else { LinuxDeviceType::C })
                .set_major(i64::from(device.major))
                .set_minor(i64::from(device.minor))
                .set_file_mode(Some(device.mode))
                .set_uid(Some(device.uid))
                .set_gid(Some(device.gid));
            node
        })
        .collect()
}

/// Refuses mappings that cannot be.
pub(crate) fn validate(mapping: &DeviceMapping) -> Result<(), Fault> {
    let inside = if mapping.path_in_container.is_empty() {
        &mapping.path_on_host
    } else {
        &mapping.path_in_container
    };
    if !mapping.path_on_host.starts_with('/') || !inside.starts_with('/') {
        return Err(Fault::invalid(format!(
            "invalid device `{}`: both paths must be absolute",
            mapping.path_on_host
        )));
    }
    let permissions = &mapping.cgroup_permissions;
    if permissions.len() > 3 || !permissions.chars().all(|c| matches!(c, 'r' | 'w' | 'm')) {
        return Err(Fault::invalid(format!(
            "invalid device `{}`: `{permissions}` is not made of `r`, `w` and `m`",
            mapping.path_on_host
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Rule;

    #[test]
    fn device_rules_are_read_as_docker_reads_them() {
        for good in ["c 42:* rmw", "a *:* rwm", "b 8:0 r"] {
            Rule::parse(good).unwrap();
        }
        for bad in ["", "c 42 rwm", "x 1:1 r", "c 1:1", "c 1:1 x", "c -1:1 r", "c  1:1 r"] {
            assert_eq!(
                Rule::parse(bad).unwrap_err().message(),
                format!("invalid device cgroup rule format: '{bad}'")
            );
        }
    }
}
