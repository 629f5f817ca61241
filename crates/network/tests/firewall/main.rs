//! The firewall against the kernel: a host with bridges, containers and another machine in network namespaces, real
//! connections, and `nft` as the judge.
#![cfg(test)]

mod cost;
mod host;
mod isolation;
mod judge;
mod publishing;
mod rig;
