//! Acts: descriptors that tasks wait for.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Lets tasks wait until `inner` is ready. What owns a descriptor ([`AsFd`]) keeps it open as long as it is registered.
#[expect(
    deprecated,
    reason = "its successor is unsafe, because of types that can lie about their descriptor; those here cannot"
)]
pub(crate) fn register<T: AsFd + AsRawFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(inner, interest)
}
