//! Pure: Docker's default capabilities with what was added and dropped.

use naru_errdefs::Fault;
use naru_oci::runtime::{Capabilities, Capability, LinuxCapabilities};
use std::str::FromStr;

const DEFAULT: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

const ALL: [Capability; 41] = [
    Capability::AuditControl,
    Capability::AuditRead,
    Capability::AuditWrite,
    Capability::BlockSuspend,
    Capability::Bpf,
    Capability::CheckpointRestore,
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::Kill,
    Capability::Lease,
    Capability::LinuxImmutable,
    Capability::MacAdmin,
    Capability::MacOverride,
    Capability::Mknod,
    Capability::NetAdmin,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetRaw,
    Capability::Perfmon,
    Capability::Setgid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysChroot,
    Capability::SysModule,
    Capability::SysNice,
    Capability::SysPacct,
    Capability::SysPtrace,
    Capability::SysRawio,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Syslog,
    Capability::WakeAlarm,
];

enum Named {
    All,
    One(Capability),
}

fn parse(text: &str, field: &str) -> Result<Named, Fault> {
    let upper = text.to_ascii_uppercase();
    if upper == "ALL" {
        return Ok(Named::All);
    }
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    Capability::from_str(bare).map(Named::One).map_err(|_unknown| {
        Fault::invalid(format!("invalid {field}: unknown capability: \"CAP_{bare}\""))
    })
}

/// The set that a container may ever have.
pub(crate) fn resolve(
    add: &[String],
    drop: &[String],
    privileged: bool,
) -> Result<Capabilities, Fault> {
    let mut added = Capabilities::new();
    let mut dropped = Capabilities::new();
    let (mut add_all, mut drop_all) = (false, false);
    for text in add {
        match parse(text, "CapAdd")? {
            Named::All => add_all = true,
            Named::One(capability) => {
                added.insert(capability);
            }
        }
    }
    for text in drop {
        match parse(text, "CapDrop")? {
            Named::All => drop_all = true,
            Named::One(capability) => {
                dropped.insert(capability);
            }
        }
    }
    let all = || Capabilities::from(ALL);
    Ok(if privileged {
        all()
    } else if add_all {
        all().difference(&dropped).copied().collect()
    } else if drop_all {
        added
    } else {
        Capabilities::from(DEFAULT).difference(&dropped).copied().chain(added).collect()
    })
}

/// The five sets of a process: nothing is inheritable or ambient, so that dropping root drops them.
pub(crate) fn sets(capabilities: &Capabilities) -> LinuxCapabilities {
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(capabilities.clone()))
        .set_effective(Some(capabilities.clone()))
        .set_permitted(Some(capabilities.clone()))
        .set_inheritable(None)
        .set_ambient(None);
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_and_dropping_follow_docker() {
        for (add, drop, privileged, count, has, lacks) in [
            (vec![], vec![], false, 14, "CHOWN", "SYS_ADMIN"),
            (vec!["sys_admin"], vec!["CAP_CHOWN"], false, 14, "SYS_ADMIN", "CHOWN"),
            (vec!["ALL"], vec!["SYS_ADMIN"], false, 40, "CHOWN", "SYS_ADMIN"),
            (vec!["CHOWN"], vec!["ALL"], false, 1, "CHOWN", "KILL"),
            (vec!["CHOWN"], vec!["CHOWN"], false, 14, "CHOWN", "SYS_ADMIN"),
        ] {
            let text = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
            let set = resolve(&text(&add), &text(&drop), privileged).unwrap();
            assert_eq!(set.len(), count, "{add:?} {drop:?}");
            assert!(set.contains(&Capability::from_str(has).unwrap()), "{add:?} {drop:?}");
            assert!(!set.contains(&Capability::from_str(lacks).unwrap()), "{add:?} {drop:?}");
        }
        assert_eq!(resolve(&[], &["ALL".into()], true).unwrap().len(), 41);
        assert_eq!(
            resolve(&["foo".into()], &[], false).unwrap_err().message(),
            "invalid CapAdd: unknown capability: \"CAP_FOO\""
        );
    }
}
