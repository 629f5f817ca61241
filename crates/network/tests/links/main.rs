//! Links and sandboxes, as root, each test in a network namespace of its own; judged by `ip`, `bridge` and `nft`.

mod fixture;
mod links;
mod sandboxes;
mod speed;
