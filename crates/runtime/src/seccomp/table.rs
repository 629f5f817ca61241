//! Pure: the numbers of system calls by name.

use super::Architecture;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use syscalls::{aarch64, arm, x86, x86_64};

/// Set in the number of a call from a program of the x32 kind.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// The lowest number (without the bit) that means something else than on 64-bit x86.
pub(crate) const X32_OWN: u32 = 512;

/// The calls that take structures with pointers inside and therefore have a number of their own for x32.
const X32_SPECIAL: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// What ARM has beside the common tables.
const ARM_PRIVATE: [(&str, u32); 4] = [
    ("breakpoint", 0xf_0001),
    ("cacheflush", 0xf_0002),
    ("set_tls", 0xf_0005),
    ("sync_file_range2", 341),
];

type Table = BTreeMap<&'static str, u32>;

/// The numbers of the system calls of an architecture. For x32 those of its own, without the bit; the others are the
/// ones of 64-bit x86.
pub(crate) fn table(architecture: Architecture) -> &'static Table {
    static X86_64: OnceLock<Table> = OnceLock::new();
    static X86: OnceLock<Table> = OnceLock::new();
    static X32: OnceLock<Table> = OnceLock::new();
    static AARCH64: OnceLock<Table> = OnceLock::new();
    static ARM: OnceLock<Table> = OnceLock::new();
    let number = |id: i32| id.unsigned_abs();
    // The iterator of the tables ends before the last one.
    match architecture {
        Architecture::X86_64 => X86_64.get_or_init(|| {
            x86_64::Sysno::iter()
                .chain([x86_64::Sysno::last()])
                .map(|call| (call.name(), number(call.id())))
                .collect()
        }),
        Architecture::X86 => X86.get_or_init(|| {
            x86::Sysno::iter()
                .chain([x86::Sysno::last()])
                .map(|call| (call.name(), number(call.id())))
                .collect()
        }),
        Architecture::X32 => X32.get_or_init(|| X32_SPECIAL.into_iter().zip(X32_OWN..).collect()),
        Architecture::Aarch64 => AARCH64.get_or_init(|| {
            aarch64::Sysno::iter()
                .chain([aarch64::Sysno::last()])
                .map(|call| (call.name(), number(call.id())))
                .collect()
        }),
        Architecture::Arm => ARM.get_or_init(|| {
            let common = arm::Sysno::iter()
                .chain([arm::Sysno::last()])
                .map(|call| (call.name(), number(call.id())));
            common.chain(ARM_PRIVATE).collect()
        }),
    }
}
