//! Pure: why something about a link failed.

use super::{errno, wire};
use naru_errdefs::{Failure, Kind};
use naru_kernel::netlink::Refused;
use std::io;

/// Why something about a link failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempted}")]
pub struct LinkError {
    attempted: String,
    #[source]
    source: Refused,
}

impl LinkError {
    pub(crate) fn new(attempted: impl Into<String>, source: impl Into<Refused>) -> LinkError {
        LinkError { attempted: attempted.into(), source: source.into() }
    }

    pub(crate) fn absent(attempted: impl Into<String>) -> LinkError {
        LinkError::new(attempted, errno(wire::ENODEV))
    }

    pub(crate) fn invalid_name(name: &str) -> LinkError {
        let text = "an interface's name has 1 to 15 bytes, without `/`, `:` and spaces";
        let error = io::Error::new(io::ErrorKind::InvalidInput, text);
        LinkError::new(format!("use the interface name `{name}`"), error)
    }

    /// Whether the link, or what it was to be joined to, is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self.errno(), wire::ENODEV | wire::ESRCH | wire::ENOENT)
    }

    /// Whether there is one of that name already.
    pub fn is_present(&self) -> bool {
        self.errno() == wire::EEXIST
    }

    /// The kernel's error number, or 0.
    pub fn errno(&self) -> i32 {
        self.source.errno()
    }
}

impl Failure for LinkError {
    fn kind(&self) -> Kind {
        match self.errno() {
            wire::ENODEV | wire::ESRCH | wire::ENOENT => Kind::NotFound,
            wire::EEXIST => Kind::AlreadyExists,
            libc_numbers::EPERM | libc_numbers::EACCES => Kind::Forbidden,
            libc_numbers::EOPNOTSUPP | libc_numbers::EAFNOSUPPORT => Kind::Unsupported,
            libc_numbers::EBUSY => Kind::Conflict,
            libc_numbers::ENOBUFS | libc_numbers::ENOMEM | libc_numbers::EXFULL => {
                Kind::ResourceExhausted
            }
            libc_numbers::EINVAL | libc_numbers::ERANGE => Kind::InvalidInput,
            _ => match self.source.kind() {
                io::ErrorKind::InvalidInput => Kind::InvalidInput,
                io::ErrorKind::Unsupported => Kind::Unsupported,
                io::ErrorKind::TimedOut => Kind::Unavailable,
                _ => Kind::Internal,
            },
        }
    }

    fn hint(&self) -> Option<String> {
        match self.errno() {
            libc_numbers::EPERM => Some(
                "networks need the right to change the host's interfaces (CAP_NET_ADMIN)"
                    .to_owned(),
            ),
            libc_numbers::EOPNOTSUPP => {
                Some("this kernel lacks the kind of interface; load its module".to_owned())
            }
            libc_numbers::EXFULL => Some(
                "the kernel gives a bridge at most 1023 ports; spread the containers over networks"
                    .to_owned(),
            ),
            libc_numbers::EBUSY => Some(
                "the parent interface is in use by another bridge, or by links of another mode"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// The kernel's error numbers that say something about a kind.
mod libc_numbers {
    pub(super) const EPERM: i32 = 1;
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const EACCES: i32 = 13;
    pub(super) const EBUSY: i32 = 16;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const ERANGE: i32 = 34;
    pub(super) const EXFULL: i32 = 54;
    pub(super) const EOPNOTSUPP: i32 = 95;
    pub(super) const EAFNOSUPPORT: i32 = 97;
    pub(super) const ENOBUFS: i32 = 105;
}
