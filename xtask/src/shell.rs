//! Running commands and saying what is run. Acts.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Prints a line for the person at the terminal.
#[expect(clippy::print_stderr, reason = "a task runner talks on standard error")]
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Runs a command in the workspace root with our output; an exit code other than 0 is an error.
pub fn run(program: &str, args: &[&str]) -> Result<(), String> {
    run_with(program, args, &[])
}

/// As [`run`], with more environment.
pub fn run_with(program: &str, args: &[&str], env: &[(&str, &str)]) -> Result<(), String> {
    say(&format!("$ {program} {}", args.join(" ")));
    let start = std::time::Instant::now();
    let status = Command::new(program)
        .args(args)
        .envs(env.iter().copied())
        .current_dir(root())
        .status()
        .map_err(|error| format!("cannot run `{program}`: {error}"))?;
    let seconds = start.elapsed().as_secs();
    if seconds >= 10 {
        say(&format!("  {seconds} s: {program} {}", args.join(" ")));
    }
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{program} {}` failed: {status}", args.join(" ")))
    }
}

/// Runs a command and returns its standard output.
pub fn output(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .current_dir(root())
        .output()
        .map_err(|error| format!("cannot run `{program}`: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "`{program} {}` failed: {}\n{}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program is on the path.
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .any(|dir| dir.join(program).is_file())
}
