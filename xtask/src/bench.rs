//! `cargo xtask bench`: side by side in one run with the peers. Acts.

/// Runs the benchmark of a name.
pub fn run(args: &[String]) -> Result<(), String> {
    match args {
        [what] if what == "run" => Err("not wired yet".to_owned()),
        _ => Err("usage: cargo xtask bench run".to_owned()),
    }
}
