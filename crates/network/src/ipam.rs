//! Pure: pools of addresses and who has which.
//!
//! A [`Pool`] is one subnet of one network. Subnets for networks that do not name one come from [`choose_subnet`]
//! (IPv4) and [`unique_local`] (IPv6). Nothing here is stored: the owner of a pool claims, after a restart, the addresses
//! that its records name.

mod error;
mod mac;
mod pool;
mod ranges;
mod subnets;

pub use error::PoolError;
pub use mac::{Mac, MacError};
pub use pool::{Gateway, Pool, PoolSpec};
pub use subnets::{DefaultPool, check_free, choose_subnet, default_pools, overlap, unique_local};
