//! Acts: interfaces, addresses and routes by netlink.
