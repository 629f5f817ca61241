//! Acts: writes the values of limits into the control files.

use super::values::{Missing, Value, Values};
use super::{Cgroup, CgroupError, Controller, devices, directory, libc_errno};
use naru_kernel::{bpf, cgroup};
use std::path::Path;

/// Whether processes may be inside already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Creation,
    Update,
}

impl Cgroup {
    /// Writes all values. One that the kernel finds invalid is tried again after the others: pairs of limits (memory
    /// and swap, period and quota) must be raised in one order and lowered in the other.
    pub(crate) fn apply(&self, values: &mut Values, moment: Moment) -> Result<(), CgroupError> {
        if let (Some(limit), Moment::Update) = (values.check_usage, moment) {
            self.check_usage(limit)?;
        }
        let mut postponed = Vec::new();
        let mut warnings = Vec::new();
        for value in &values.values {
            match self.write_value(value, &mut warnings) {
                Err(CgroupError::Set { source, .. })
                    if source.raw_os_error() == Some(libc_errno::INVALID) =>
                {
                    postponed.push(value);
                }
                result => result?,
            }
        }
        for value in postponed {
            self.write_value(value, &mut warnings)?;
        }
        for warning in warnings {
            if !values.warnings.iter().any(|known| known == warning) {
                values.warnings.push(warning.to_owned());
            }
        }
        match &values.devices {
            Some(rules) => self.apply_devices(rules, moment),
            None => Ok(()),
        }
    }

    fn write_value(
        &self,
        value: &Value,
        warnings: &mut Vec<&'static str>,
    ) -> Result<(), CgroupError> {
        let no_file = || CgroupError::NoFile { setting: value.setting, file: value.file.clone() };
        let directory = self.directory(value.controller).ok_or_else(no_file)?;
        for file in value.file.split('|') {
            match cgroup::write(&directory.join(file), &value.text) {
                Ok(()) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc_errno::NO_ENTRY) => {}
                // Rates and weights name a device.
                Err(error) if error.raw_os_error() == Some(libc_errno::NO_DEVICE) => {
                    return Err(CgroupError::BadValue {
                        setting: value.setting,
                        value: value.text.clone(),
                        reason: "there is no such block device",
                    });
                }
                Err(source) => {
                    return Err(CgroupError::Set {
                        setting: value.setting,
                        value: value.text.clone(),
                        source,
                    });
                }
            }
        }
        match value.missing {
            Missing::Warn(message) => {
                warnings.push(message);
                Ok(())
            }
            Missing::Refuse => Err(no_file()),
        }
    }

    fn check_usage(&self, limit: u64) -> Result<(), CgroupError> {
        let Some(directory) = self.directory(Controller::Memory) else { return Ok(()) };
        let usage = directory::read(&directory.join("memory.current"))?;
        if usage.trim().parse::<u64>().is_ok_and(|usage| usage > limit) {
            return Err(CgroupError::Set {
                setting: "memory",
                value: limit.to_string(),
                source: std::io::Error::from_raw_os_error(libc_errno::BUSY),
            });
        }
        Ok(())
    }

    fn apply_devices(
        &self,
        rules: &[devices::DeviceRule],
        moment: Moment,
    ) -> Result<(), CgroupError> {
        if let Some(directory) = self.legacy_directory(Controller::Devices) {
            let policy = devices::Policy::from_rules(rules)?;
            // A new cgroup has what the one above it has; saying so again can be refused.
            if policy.is_open() && moment == Moment::Creation {
                return Ok(());
            }
            return match moment {
                Moment::Creation => write_lines(directory, &policy),
                Moment::Update => exchange_lines(directory, &policy),
            };
        }
        let Some(directory) = &self.unified else { return Ok(()) };
        let failed = |attempt: &'static str| {
            move |source| CgroupError::Io { attempt, path: directory.clone(), source }
        };
        let cgroup = cgroup::open_directory(directory).map_err(failed("open"))?;
        let program = bpf::load_device_program(&devices::program(rules))
            .map_err(failed("load the program that guards the devices of"))?;
        bpf::guard_devices(cgroup, program).map_err(failed("guard the devices of"))
    }
}

fn set_device(directory: &Path, file: &str, line: &str) -> Result<(), CgroupError> {
    cgroup::write(&directory.join(file), line).map_err(|source| CgroupError::Set {
        setting: "access to devices",
        value: line.to_owned(),
        source,
    })
}

fn write_lines(directory: &Path, policy: &devices::Policy) -> Result<(), CgroupError> {
    policy.lines().iter().try_for_each(|(file, line)| set_device(directory, file, line))
}

/// First gives what is new, then takes what is gone, so that nothing that stays is ever refused meanwhile.
fn exchange_lines(directory: &Path, policy: &devices::Policy) -> Result<(), CgroupError> {
    let now = directory::read(&directory.join("devices.list"))?;
    if policy.allow_by_default || now.starts_with("a ") {
        return write_lines(directory, policy);
    }
    let wanted: Vec<String> = policy.lines().into_iter().skip(1).map(|(_, line)| line).collect();
    for line in &wanted {
        set_device(directory, "devices.allow", line)?;
    }
    for line in now.lines().filter(|line| !wanted.iter().any(|kept| kept == line)) {
        set_device(directory, "devices.deny", line)?;
    }
    // A line that lost some of its accesses was taken as a whole or in part; say the rest again.
    for line in &wanted {
        set_device(directory, "devices.allow", line)?;
    }
    Ok(())
}
