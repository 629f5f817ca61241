//! System call filters: what a profile says, and the classic BPF program that says it to the kernel. Pure.
//!
//! ```text
//! docker's default ──┐
//! docker's JSON ─────┼──▶ Profile ──compile()──▶ program ──▶ installed by init, last of all
//! LinuxSeccomp ──────┘
//! ```
//!
//! A profile is already resolved against the container's capabilities and the host's kernel. For a system call the
//! first rule without conditions decides, whichever rules have some; without one, the first whose conditions all hold;
//! without that, the default action. A number above all that the profile names is answered with `ENOSYS` where the
//! default is an error, so that programs fall back from system calls that are newer than the profile.

mod compile;
mod default_profile;
mod docker_json;
mod error;
mod oci;
mod table;

pub use compile::compile;
pub use default_profile::default_profile;
pub use docker_json::parse_docker;
pub use error::SeccompError;
pub use oci::from_oci;

use std::collections::BTreeSet;

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It is done.
    Allow,
    /// It fails with this number.
    Errno(u16),
    /// The process gets a SIGSYS that it can catch.
    Trap,
    /// A tracer is told, with this number.
    Trace(u16),
    /// It is done, and logged.
    Log,
    /// The thread ends.
    KillThread,
    /// The process ends.
    KillProcess,
}

impl Action {
    /// The value that a filter returns for it.
    pub(crate) const fn code(self) -> u32 {
        match self {
            Action::KillThread => 0,
            Action::Trap => 0x0003_0000,
            Action::Errno(number) => 0x0005_0000 | number as u32,
            Action::Trace(number) => 0x7ff0_0000 | number as u32,
            Action::Log => 0x7ffc_0000,
            Action::Allow => 0x7fff_0000,
            Action::KillProcess => 0x8000_0000,
        }
    }
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `==`
    Equal,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
    /// The bits of this mask are those of the value.
    MaskedEqual(u64),
}

/// A test of one argument, which is a number of 64 bits on every architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// Which argument, from 0 to 5.
    pub argument: u8,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// What happens to some system calls, under conditions that must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The system calls. A name that an architecture does not have is nothing there.
    pub names: Vec<String>,
    /// What happens.
    pub action: Action,
    /// When; always, if there is none.
    pub conditions: Vec<Condition>,
}

/// A way in which programs call the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    X86,
    /// 32-bit pointers on 64-bit x86.
    X32,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM.
    Arm,
}

impl Architecture {
    /// That of this build.
    pub const NATIVE: Architecture =
        if cfg!(target_arch = "aarch64") { Architecture::Aarch64 } else { Architecture::X86_64 };

    /// Those that a machine can run, itself first.
    pub fn family(self) -> &'static [Architecture] {
        match self {
            Architecture::X86_64 => &[Architecture::X86_64, Architecture::X86, Architecture::X32],
            Architecture::X86 => &[Architecture::X86],
            Architecture::X32 => &[Architecture::X32],
            Architecture::Aarch64 => &[Architecture::Aarch64, Architecture::Arm],
            Architecture::Arm => &[Architecture::Arm],
        }
    }

    /// libseccomp's name; `None` for those that this build has no table of.
    pub(crate) fn from_scmp(name: &str) -> Option<Architecture> {
        Some(match name {
            "SCMP_ARCH_X86_64" => Architecture::X86_64,
            "SCMP_ARCH_X86" => Architecture::X86,
            "SCMP_ARCH_X32" => Architecture::X32,
            "SCMP_ARCH_AARCH64" => Architecture::Aarch64,
            "SCMP_ARCH_ARM" => Architecture::Arm,
            "SCMP_ARCH_NATIVE" => Architecture::NATIVE,
            _ => return None,
        })
    }

    /// The name by which docker's profiles include and exclude rules.
    pub(crate) const fn docker_name(self) -> &'static str {
        match self {
            Architecture::X86_64 => "amd64",
            Architecture::X86 => "x86",
            Architecture::X32 => "x32",
            Architecture::Aarch64 => "arm64",
            Architecture::Arm => "arm",
        }
    }

    /// What the kernel puts into `seccomp_data.arch`.
    pub(crate) const fn audit_code(self) -> u32 {
        match self {
            Architecture::X86_64 | Architecture::X32 => 0xc000_003e,
            Architecture::X86 => 0x4000_0003,
            Architecture::Aarch64 => 0xc000_00b7,
            Architecture::Arm => 0x4000_0028,
        }
    }
}

/// What a profile is resolved against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// The capabilities of the container's bounding set, as `CAP_SYS_ADMIN`.
    pub capabilities: BTreeSet<String>,
    /// Version and patch level of the kernel.
    pub kernel: (u32, u32),
    /// The machine.
    pub architecture: Architecture,
}

impl Circumstances {
    /// Those of this machine, whose `uname` gives this kernel release.
    pub fn native<'a>(
        capabilities: impl IntoIterator<Item = &'a str>,
        release: &str,
    ) -> Circumstances {
        Circumstances {
            capabilities: capabilities.into_iter().map(str::to_owned).collect(),
            kernel: kernel_version(release),
            architecture: Architecture::NATIVE,
        }
    }

    fn can(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }
}

/// `6.1` of `6.1.0-9-amd64`; (0, 0) where there is no number.
pub(crate) fn kernel_version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(|letter: char| !letter.is_ascii_digit())
        .map(|digits| digits.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// A profile, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What happens to everything that no rule is about.
    pub default_action: Action,
    /// The ways of calling that are let in; another one ends the process.
    pub architectures: Vec<Architecture>,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The flags of `seccomp(2)` to install it with.
    pub flags: u32,
}

#[cfg(test)]
mod tests;
