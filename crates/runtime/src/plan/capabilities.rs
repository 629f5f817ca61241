//! Pure: capability names to sets of bits, cut to what this process may give.

use super::PlanError;
use naru_oci::runtime::{Capabilities, LinuxCapabilities};
use serde::{Deserialize, Serialize};

/// The five capability sets of a process, one bit a capability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilitySets {
    /// What can ever be gained.
    pub bounding: u64,
    /// What counts now.
    pub effective: u64,
    /// What can be taken up.
    pub permitted: u64,
    /// What files may pass on.
    pub inheritable: u64,
    /// What survives the execution of an ordinary file by an ordinary user.
    pub ambient: u64,
}

/// The kernel's names, without `CAP_`, in the order of their numbers.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

pub(crate) const SYS_ADMIN: u64 = 1 << 21;

/// The bit of a capability, by its name with or without `CAP_`, in any case.
pub(crate) fn bit(name: &str) -> Option<u64> {
    let upper = name.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|known| *known == name).map(|number| 1 << number)
}

/// The names of the bits, for messages.
pub(crate) fn names(set: u64) -> Vec<String> {
    (0..64)
        .filter(|number| set >> number & 1 == 1)
        .map(|number| match NAMES.get(number) {
            Some(name) => format!("CAP_{name}"),
            None => format!("CAP_{number}"),
        })
        .collect()
}

/// The sets of the spec, without what is not in `available`: the bounding set of this process. Who asks for everything
/// gets everything there is; who asks by name for what there is not is told in `warnings`.
pub(crate) fn resolve(
    wanted: Option<&LinuxCapabilities>,
    available: u64,
    warnings: &mut Vec<String>,
) -> Result<CapabilitySets, PlanError> {
    let Some(wanted) = wanted else { return Ok(CapabilitySets::default()) };
    let bounding = bits(wanted.bounding().as_ref())?;
    let permitted = bits(wanted.permitted().as_ref())?;
    let effective = bits(wanted.effective().as_ref())?;
    if effective & !permitted != 0 {
        return Err(PlanError::invalid(
            "process.capabilities.effective",
            format!("{} not permitted", names(effective & !permitted).join(", ")),
        ));
    }
    let everything = (1_u64 << NAMES.len()) - 1;
    let missing = (bounding | permitted) & !available;
    if missing != 0 && bounding != everything {
        warnings.push(format!(
            "{} cannot be given: this process does not have it itself",
            names(missing).join(", ")
        ));
    }
    let inheritable = bits(wanted.inheritable().as_ref())? & available;
    let ambient = bits(wanted.ambient().as_ref())? & available;
    let possible = ambient & permitted & inheritable;
    if possible != ambient {
        warnings.push(format!(
            "{} cannot be ambient: it is not permitted and inheritable",
            names(ambient & !possible).join(", ")
        ));
    }
    Ok(CapabilitySets {
        bounding: bounding & available,
        effective: effective & available,
        permitted: permitted & available,
        inheritable,
        ambient: possible,
    })
}

fn bits(set: Option<&Capabilities>) -> Result<u64, PlanError> {
    let mut all = 0;
    for capability in set.into_iter().flatten() {
        let name = capability.to_string();
        all |= bit(&name).ok_or_else(|| {
            PlanError::invalid("process.capabilities", format!("`{name}` is not known"))
        })?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_oci::runtime::{Capability, LinuxCapabilitiesBuilder};

    fn caps(
        bounding: &[Capability],
        effective: &[Capability],
        ambient: &[Capability],
    ) -> LinuxCapabilities {
        let set = |list: &[Capability]| list.iter().copied().collect::<Capabilities>();
        LinuxCapabilitiesBuilder::default()
            .bounding(set(bounding))
            .permitted(set(bounding))
            .effective(set(effective))
            .inheritable(set(&[]))
            .ambient(set(ambient))
            .build()
            .unwrap()
    }

    #[test]
    fn numbers_are_the_kernels() {
        for (name, number) in
            [("CAP_CHOWN", 0), ("sys_admin", 21), ("CAP_AUDIT_WRITE", 29), ("bpf", 39)]
        {
            assert_eq!(bit(name), Some(1 << number), "{name}");
        }
        assert_eq!(bit("CAP_TEA"), None);
        assert_eq!(names(1 << 21 | 1), ["CAP_CHOWN", "CAP_SYS_ADMIN"]);
    }

    #[test]
    fn what_we_lack_is_cut_with_a_word() {
        let wanted = caps(&[Capability::SysResource, Capability::Chown], &[Capability::Chown], &[]);
        let mut warnings = Vec::new();
        let sets = resolve(Some(&wanted), !(1 << 24), &mut warnings).unwrap();
        assert_eq!((sets.bounding, sets.effective), (1, 1));
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("CAP_SYS_RESOURCE"), "{warnings:?}");
    }

    #[test]
    fn effective_must_be_permitted() {
        let wanted = caps(&[Capability::Chown], &[Capability::Kill], &[]);
        assert!(resolve(Some(&wanted), !0, &mut Vec::new()).is_err());
    }

    #[test]
    fn ambient_needs_inheritable() {
        let wanted = caps(&[Capability::Chown], &[], &[Capability::Chown]);
        let mut warnings = Vec::new();
        assert_eq!(resolve(Some(&wanted), !0, &mut warnings).unwrap().ambient, 0);
        assert_eq!(warnings.len(), 1);
    }
}
