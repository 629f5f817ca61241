//! Safe wrappers of Linux calls, the only place of `unsafe` in the project.
//!
//! Acts. No policy: what to do and when is decided above. Errors are `std::io::Error`; callers say what they attempted.

#![expect(
    unsafe_code,
    reason = "this crate is where system calls without a safe wrapper are made safe"
)]

pub mod bpf;
pub mod capability;
pub mod cgroup;
pub mod channel;
pub mod clone;
pub mod command;
pub mod credentials;
pub mod exec;
pub mod failpoint;
pub mod fs;
pub mod inotify;
pub mod mapped;
pub mod memfd;
pub mod memory;
pub mod mount;
pub mod mountinfo;
pub mod namespace;
pub mod netlink;
pub mod node;
pub mod overlay;
pub mod path;
pub mod pidfd;
pub mod pinned;
pub mod pipe;
pub mod poll;
pub mod process;
pub mod pty;
pub mod random;
pub mod reap;
pub mod rlimit;
pub mod signal;
pub mod socket;
mod sockopt;
pub mod sparse;
pub mod splice;
pub mod tcp;
pub mod times;
pub mod xattr;
pub mod xtables;
