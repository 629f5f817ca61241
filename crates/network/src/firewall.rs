//! Acts: the one nftables table of ours: publishing, masquerading, isolation.
