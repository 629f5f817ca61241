//! Pure: the limits of a spec, and the devices that every container may use whatever its rules say.

use crate::plan::PlanError;
use naru_oci::runtime::{
    LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxResources, Spec,
};

/// Making any node, and using those that are always made, and terminals: type, major, minor, access; -1 is any.
const ALWAYS: [(LinuxDeviceType, i64, i64, &str); 11] = [
    (LinuxDeviceType::C, -1, -1, "m"),
    (LinuxDeviceType::B, -1, -1, "m"),
    (LinuxDeviceType::C, 1, 3, "rwm"),
    (LinuxDeviceType::C, 1, 5, "rwm"),
    (LinuxDeviceType::C, 1, 7, "rwm"),
    (LinuxDeviceType::C, 1, 8, "rwm"),
    (LinuxDeviceType::C, 1, 9, "rwm"),
    (LinuxDeviceType::C, 5, 0, "rwm"),
    (LinuxDeviceType::C, 5, 1, "rwm"),
    (LinuxDeviceType::C, 5, 2, "rwm"),
    (LinuxDeviceType::C, 136, -1, "rwm"),
];

/// The limits to set. A spec that denies all devices and allows a few means the ones besides the usual.
pub(super) fn resolve(spec: &Spec) -> Result<LinuxResources, PlanError> {
    let linux = spec.linux().as_ref();
    let given = linux.and_then(|linux| linux.resources().as_ref());
    let mut resources = given.cloned().unwrap_or_default();
    let Some(rules) = resources.devices().clone().filter(|rules| !rules.is_empty()) else {
        return Ok(resources);
    };
    let mut all = rules;
    for (kind, major, minor, access) in ALWAYS {
        all.push(rule(kind, major, minor, access)?);
    }
    resources.set_devices(Some(all));
    Ok(resources)
}

fn rule(
    kind: LinuxDeviceType,
    major: i64,
    minor: i64,
    access: &str,
) -> Result<LinuxDeviceCgroup, PlanError> {
    let mut rule = LinuxDeviceCgroupBuilder::default().allow(true).typ(kind).access(access);
    if major >= 0 {
        rule = rule.major(major);
    }
    if minor >= 0 {
        rule = rule.minor(minor);
    }
    rule.build().map_err(|error| PlanError::invalid("linux.resources.devices", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(devices: serde_json::Value) -> usize {
        let spec = serde_json::from_value::<Spec>(serde_json::json!({
            "ociVersion": "1.2.0", "linux": {"resources": {"devices": devices}},
        }));
        resolve(&spec.unwrap()).unwrap().devices().as_ref().map_or(0, Vec::len)
    }

    #[test]
    fn rules_are_added_to_rules_only() {
        assert_eq!(rules(serde_json::json!([])), 0);
        assert_eq!(rules(serde_json::json!([{"allow": false, "access": "rwm"}])), 12);
    }
}
