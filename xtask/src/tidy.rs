//! The house rules that a machine can check; each message names its rule. Acts: reads the tree and cargo's metadata.

mod arrows;
mod sources;

use crate::shell;

/// Checks every rule and reports all breaches at once.
pub fn run() -> Result<(), String> {
    let mut breaches = Vec::new();
    arrows::check(&mut breaches)?;
    sources::check(&mut breaches)?;
    if breaches.is_empty() {
        shell::say("tidy: the house rules hold");
        return Ok(());
    }
    for breach in &breaches {
        shell::say(&format!("tidy: {breach}"));
    }
    Err(format!("{} breaches of the house rules (docs/style.md)", breaches.len()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_tidy() {
        super::run().unwrap();
    }
}
