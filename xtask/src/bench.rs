//! `cargo xtask bench`: side by side in one run with the peers, as ratios, because machines are noisy. Acts.

mod containers;
pub mod floor;
mod measure;
mod memory;
mod peers;
mod report;

use crate::{shell, test};

/// Runs the benchmark of a name and writes its table into `docs/benchmarks.md`.
pub fn run(args: &[String]) -> Result<(), String> {
    let quick = args.iter().any(|arg| arg == "--quick");
    match args.iter().find(|arg| !arg.starts_with("--")).map(String::as_str) {
        Some("run") => {
            if std::env::var_os("NARU_BIN").is_none() {
                shell::run("cargo", &["build", "--release", "--package", "naru"])?;
            }
            let binary = std::env::var_os("NARU_BIN").map_or_else(test::release_binary, Into::into);
            let rounds = if quick { 10 } else { 40 };
            let rows = containers::run(&binary, rounds)?;
            report::publish("run", &rows, !quick)
        }
        _ => Err("usage: cargo xtask bench run [--quick]".to_owned()),
    }
}
