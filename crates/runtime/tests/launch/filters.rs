//! The system call filter, as the last thing before the command. Acts.

use crate::fixture::Fixture;
use serde_json::{Value, json};

fn refusing(call: &str) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": 42}],
    })
}

#[test]
fn a_filter_holds_with_and_without_new_privileges() {
    for no_new_privileges in [true, false] {
        let fixture = Fixture::new(
            "mkdir /x 2>/dev/null || echo refused; grep -E 'Seccomp:|CapEff' /proc/self/status",
        )
        .set("/linux/seccomp", refusing("mkdir"))
        .set("/process/noNewPrivileges", json!(no_new_privileges));
        assert_eq!(fixture.stdout(), "refused\nCapEff:\t00000000a80425fb\nSeccomp:\t2\n");
    }
}

/// Without the right to administer, and as an ordinary user: the filter is installed while we still have the right.
#[test]
fn a_filter_holds_for_an_ordinary_user() {
    let fixture = Fixture::new(
        "mkdir /tmp/x 2>/dev/null || echo refused; grep -E 'Seccomp:|CapPrm' /proc/self/status",
    )
    .set("/linux/seccomp", refusing("mkdir"))
    .set("/process/user", json!({"uid": 33, "gid": 34}));
    assert_eq!(fixture.stdout(), "refused\nCapPrm:\t0000000000000000\nSeccomp:\t2\n");
}

#[test]
fn a_filter_holds_under_our_own_init() {
    let fixture = Fixture::new("mkdir /x 2>/dev/null || echo refused")
        .set("/linux/seccomp", refusing("mkdir"))
        .with(|options| options.init = true);
    assert_eq!(fixture.stdout(), "refused\n");
}
