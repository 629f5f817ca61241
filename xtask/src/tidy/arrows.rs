//! Which crate may use which, and which packages are at home where: `docs/arrows.toml` against cargo's metadata. Acts.

use crate::shell;
use serde_json::Value;
use std::collections::BTreeMap;

type Lists = BTreeMap<String, Vec<String>>;

/// Adds a breach for each arrow that is not in the file.
pub fn check(breaches: &mut Vec<String>) -> Result<(), String> {
    let path = shell::root().join("docs/arrows.toml");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let (allowed, homes) = parse(&text)?;
    let metadata =
        shell::output("cargo", &["metadata", "--no-deps", "--format-version", "1", "--offline"])?;
    let metadata: Value =
        serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let members = metadata.get("packages").and_then(Value::as_array).cloned().unwrap_or_default();
    for package in &members {
        let text = |value: &Value, key: &str| {
            value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let package_name = text(package, "name");
        let name = package_name.strip_prefix("naru-").unwrap_or(&package_name);
        let in_crates = text(package, "manifest_path").contains("/crates/");
        if in_crates && !allowed.contains_key(name) {
            breaches.push(format!("arrows: crate `{name}` is not in docs/arrows.toml"));
        }
        for dependency in
            package.get("dependencies").and_then(Value::as_array).unwrap_or(&Vec::new())
        {
            let target = text(dependency, "name");
            // Tests may reach further: they build worlds to test in.
            let production = dependency.get("kind").is_none_or(Value::is_null);
            if let Some(ours) = target.strip_prefix("naru-") {
                let open = ours == "errdefs"
                    || allowed.get(name).is_some_and(|list| list.iter().any(|item| item == ours));
                if production && in_crates && !open {
                    breaches.push(format!("arrows: crate `{name}` uses `{ours}`, which docs/arrows.toml does not allow"));
                }
            }
            if let Some(home) = homes.get(&target)
                && production
                && !home.iter().any(|item| item == name)
            {
                breaches.push(format!("homes: crate `{name}` uses package `{target}`, which is at home in {home:?} only"));
            }
        }
    }
    let architecture =
        std::fs::read_to_string(shell::root().join("docs/architecture.md")).unwrap_or_default();
    for name in allowed.keys() {
        if !architecture.contains(&format!("`{name}`")) {
            breaches.push(format!(
                "architecture: crate `{name}` is not described in docs/architecture.md"
            ));
        }
    }
    Ok(())
}

/// Pure: the two tables of the file. It uses one line a row, so that is all that is read here.
fn parse(text: &str) -> Result<(Lists, Lists), String> {
    let (mut arrows, mut homes) = (Lists::new(), Lists::new());
    let mut in_homes = false;
    for line in
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if line == "[home]" {
            in_homes = true;
            continue;
        }
        let (name, list) = line
            .split_once('=')
            .ok_or_else(|| format!("docs/arrows.toml: `{line}` is not `name = [..]`"))?;
        let list: Vec<String> = serde_json::from_str(list.trim())
            .map_err(|error| format!("docs/arrows.toml: `{line}`: {error}"))?;
        let table = if in_homes { &mut homes } else { &mut arrows };
        table.insert(name.trim().to_owned(), list);
    }
    Ok((arrows, homes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_tables_are_read() {
        let (arrows, homes) =
            super::parse("# x\na = []\nb = [\"a\"]\n[home]\nsled = [\"b\"]\n").unwrap();
        assert_eq!(arrows["b"], ["a"]);
        assert_eq!(homes["sled"], ["b"]);
        assert!(super::parse("nonsense").is_err());
    }
}
