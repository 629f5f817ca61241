//! `cargo xtask test`: everything that CI checks, in the order in which it fails soonest. Acts.

use crate::{conformance, deps, shell, tidy, vm_test};
use std::path::PathBuf;

/// The static release binary, as cargo places it.
pub fn release_binary() -> PathBuf {
    target_dir().join("x86_64-unknown-linux-gnu/release/naru")
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("target"), PathBuf::from)
}

/// Runs the checks; `--quick` leaves out what needs the release binary, foreign programs or minutes.
pub fn run(args: &[String]) -> Result<(), String> {
    let quick = args.iter().any(|arg| arg == "--quick");
    shell::run("cargo", &["fmt", "--all", "--check"])?;
    tidy::run()?;
    if !quick {
        deps::ensure()?;
    }
    shell::run("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    if quick {
        return tests(&["--workspace", "--exclude", "integration-tests"], "");
    }
    make_ready()?;
    check_binary()?;
    let binary = release_binary();
    tests(&["--workspace"], &binary.to_string_lossy())?;
    conformance::run_if_named(&binary)?;
    vm_test::with_binary(&binary)
}

/// What the tests need, side by side: linking the release binary keeps one processor busy for minutes, and what is made of
/// Debian's packages waits for disks and mirrors. Made here and not by the tests that need it, whose time is limited.
fn make_ready() -> Result<(), String> {
    std::thread::scope(|scope| {
        let programs = scope.spawn(|| {
            let build: &[&str] =
                if nextest() { &["nextest", "run", "--no-run"] } else { &["test", "--no-run"] };
            // The release binary goes first, since nothing can help with its last step.
            shell::run("nice", &[&["-n", "10", "cargo"], build, &["--workspace"]].concat())
        });
        let images = scope.spawn(|| {
            shell::say("Debian roots, images and packages for the tests that need them");
            integration_tests::debian::root_tar();
            integration_tests::debian::layered_layout();
            integration_tests::debian::for_builds();
        });
        shell::run("cargo", &["build", "--release", "--package", "naru"])?;
        programs.join().map_err(|_panic| "building the tests ended by panic".to_owned())??;
        images.join().map_err(|_panic| "no Debian root or image for the tests".to_owned())
    })
}

fn nextest() -> bool {
    shell::exists("cargo-nextest")
}

/// nextest where it is installed (each test in a process of its own, with a time limit), `cargo test` elsewhere.
fn tests(selection: &[&str], binary: &str) -> Result<(), String> {
    let mut args: Vec<&str> = if nextest() {
        vec![
            "nextest",
            "run",
            "--profile",
            if std::env::var_os("CI").is_some() { "ci" } else { "default" },
        ]
    } else {
        vec!["test"]
    };
    args.extend_from_slice(selection);
    shell::run_with("cargo", &args, &[("NARU_BIN", binary)])
}

/// The promises about the binary: static, and at most 20 MiB.
fn check_binary() -> Result<(), String> {
    const MOST: u64 = 20 << 20;
    let binary = release_binary();
    let size = std::fs::metadata(&binary)
        .map_err(|error| format!("cannot find `{}`: {error}", binary.display()))?
        .len();
    if size > MOST {
        return Err(format!("the release binary has {size} bytes, more than the promised {MOST}"));
    }
    // `ldd` fails for static binaries on some systems and says so on standard output on others; the ELF says it best.
    let headers =
        shell::output("readelf", &["--program-headers", "--wide", &binary.to_string_lossy()])?;
    if headers.contains("INTERP") {
        return Err("the release binary asks for a dynamic loader, but must be static".to_owned());
    }
    shell::say(&format!("release binary: static, {:.1} MiB", size as f64 / f64::from(1 << 20)));
    Ok(())
}
