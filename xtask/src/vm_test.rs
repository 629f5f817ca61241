//! Placeholder until the limits engineer lands it. Acts.

/// Not there yet.
pub fn run(_args: &[String]) -> Result<(), String> {
    Err("vm-test is not there yet".to_owned())
}
