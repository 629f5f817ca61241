//! The project's own tasks: `cargo xtask <task>`. Acts: runs cargo and foreign judges.

mod bench;
mod conformance;
mod deps;
mod shell;
mod test;
mod tidy;
mod vm_test;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <task>

tasks:
  test [--quick]     everything that CI checks; --quick leaves out the release build, the judges and the virtual machine
  tidy               the house rules: crate arrows, module docs, names, sizes
  deps [--install]   the Debian packages that the tests need: list what is missing, or install it
  vm-test [--built]  the limits tests under cgroup v2, and a daemon without IPv6, in small virtual machines; --built with what is built
  bench run|net|registry [--quick]   side by side with docker, podman and runc; writes docs/benchmarks.md (not with --quick)
  conformance        the OCI distribution suite (its binary in OCI_CONFORMANCE) against our registry
  deny               supply chain rules, when cargo-deny is installed";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match args.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => {
            shell::say(USAGE);
            return ExitCode::FAILURE;
        }
    };
    match (task, rest) {
        ("floor", [dir]) => return bench::floor::enter(std::path::Path::new(dir), false),
        ("floor", [dir, _]) => return bench::floor::enter(std::path::Path::new(dir), true),
        ("load", rest) => return bench::load(rest),
        _ => {}
    }
    let result = match task {
        "test" => test::run(rest),
        "tidy" => tidy::run(),
        "deps" => deps::run(rest),
        // As `test` runs it: the release binary and the tests of the workspace are there.
        "vm-test" if rest.iter().any(|word| word == "--built") => {
            vm_test::with_binary(&test::release_binary())
        }
        "vm-test" => vm_test::run(rest),
        "bench" => bench::run(rest),
        "conformance" => bench::binary().and_then(|binary| conformance::run_if_named(&binary)),
        "deny" => shell::run("cargo", &["deny", "check", "bans", "licenses", "sources"]),
        "help" | "--help" | "-h" => {
            shell::say(USAGE);
            Ok(())
        }
        other => Err(format!("there is no task `{other}`\n{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            shell::say(&format!("error: {message}"));
            ExitCode::FAILURE
        }
    }
}
