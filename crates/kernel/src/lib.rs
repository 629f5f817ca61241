//! Safe wrappers of Linux calls, the only place of `unsafe` in the project.
//!
//! Acts. No policy: what to do and when is decided above. Errors are `std::io::Error`; callers say what they attempted.

#![expect(
    unsafe_code,
    reason = "this crate is where system calls without a safe wrapper are made safe"
)]

pub mod capability;
pub mod clone;
pub mod credentials;
pub mod exec;
pub mod mount;
pub mod mountinfo;
pub mod namespace;
pub mod node;
pub mod path;
pub mod pty;
pub mod rlimit;
pub mod sparse;
pub mod times;
pub mod xattr;
