//! Links and sandboxes, as root, each test in a network namespace of its own; judged by `ip`, `bridge` and `nft`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "the lints do not see that the functions of a test's fixture are a test"
)]

mod fixture;
mod links;
mod sandboxes;
mod speed;
