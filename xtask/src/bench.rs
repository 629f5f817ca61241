//! `cargo xtask bench`: side by side in one run with the peers, as ratios, because machines are noisy. Acts.

mod build;
mod containers;
mod disk;
pub mod floor;
mod measure;
mod memory;
mod net;
mod peers;
mod pull;
mod registry;
pub use registry::Server;
mod report;

use crate::{shell, test};
use integration_tests::debian;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the benchmark of a name and writes its table into `docs/benchmarks.md`.
pub fn run(args: &[String]) -> Result<(), String> {
    let quick = args.iter().any(|arg| arg == "--quick");
    match args.iter().find(|arg| !arg.starts_with("--")).map(String::as_str) {
        Some("run") => {
            let rounds = if quick { 10 } else { 40 };
            let rows = containers::run(&binary()?, rounds)?;
            report::publish("run", &rows, !quick)
        }
        Some("net") => {
            let binary = binary()?;
            let rows = net::run(&binary, if quick { 5 } else { 12 })?;
            report::publish("net", &rows, !quick)
        }
        Some("registry") => {
            let binary = binary()?;
            if disk::enter(&binary, &[])? {
                return Ok(());
            }
            let words = words(args);
            let rows = registry::run(&binary, quick, &words)?;
            report::publish("registry", &rows, !quick && words.is_empty())
        }
        Some("build") => {
            let binary = binary()?;
            if disk::enter(&binary, &[])? {
                return Ok(());
            }
            let words = words(args);
            let rows = build::run(&binary, if quick { 1 } else { 3 }, &words)?;
            report::publish("build", &rows, !quick && words.is_empty())
        }
        Some("pull") => {
            let binary = binary()?;
            shell::say("making the image (some minutes, once)");
            let layout = debian::layered_layout();
            if disk::enter(&binary, &[&layout])? {
                return Ok(());
            }
            let rows = pull::run(&binary, &layout, if quick { 1 } else { 3 })?;
            report::publish("pull", &rows, !quick)
        }
        _ => Err("usage: cargo xtask bench run|net|registry|pull|build [--quick]".to_owned()),
    }
}

/// Further words choose cases; a part is no table.
fn words(args: &[String]) -> Vec<&str> {
    args.iter().skip(1).map(String::as_str).filter(|word| *word != "--quick").collect()
}

/// What is measured: a binary made for it, or the one that `NARU_BIN` names.
pub fn binary() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("NARU_BIN") {
        return Ok(path.into());
    }
    shell::run("cargo", &["build", "--release", "--package", "naru"])?;
    Ok(test::release_binary())
}

/// This program as the load program of `bench net`: prints what it measured.
pub fn load(args: &[String]) -> ExitCode {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match net::load(&args) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(measured)) => match writeln!(std::io::stdout(), "{measured}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_closed) => ExitCode::FAILURE,
        },
        Err(error) => {
            shell::say(&format!("load {}: {error}", args.join(" ")));
            ExitCode::FAILURE
        }
    }
}
