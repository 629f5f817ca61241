//! Pure: `.gitmodules`: which repositories lie in which directories of another one (gitmodules(5)).

use std::collections::BTreeMap;

/// A submodule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// What it is called; its directory unless that is said.
    pub name: String,
    /// Its directory.
    pub path: String,
    /// Its address; may be relative to that of the repository which it is in.
    pub url: String,
}

/// The submodules that a `.gitmodules` tells of. What is not understood is left out: who needs it finds it missing.
pub fn modules(text: &[u8]) -> Vec<Module> {
    let text = String::from_utf8_lossy(text);
    let mut found: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    let mut section = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(head) = line.strip_prefix('[') {
            let head = head.strip_suffix(']').unwrap_or_default();
            let name = head.strip_prefix("submodule").map(str::trim);
            section = name.map(|name| name.trim_matches('"').to_owned());
            continue;
        }
        let (Some(section), Some((key, value))) = (&section, line.split_once('=')) else {
            continue;
        };
        let value = unquoted(value.trim());
        let module = found.entry(section.clone()).or_default();
        match key.trim().to_ascii_lowercase().as_str() {
            "path" => module.0 = Some(value),
            "url" => module.1 = Some(value),
            _ => {}
        }
    }
    let whole = |(name, (path, url)): (String, (Option<String>, Option<String>))| {
        let path = path?.trim_end_matches('/').to_owned();
        // A directory of git's has this name; none may lead elsewhere.
        let good = |part: &str| !part.is_empty() && !part.starts_with('.');
        let is_plain = name.split('/').all(good) && !name.contains(['"', '\\', '\0']);
        Some(Module { name: if is_plain { name } else { path.clone() }, path, url: url? })
    };
    found.into_iter().filter_map(whole).collect()
}

fn unquoted(value: &str) -> String {
    let Some(rest) = value.strip_prefix('"') else {
        // What follows is a comment.
        return value.split([';', '#']).next().unwrap_or_default().trim().to_owned();
    };
    let mut text = String::new();
    let mut letters = rest.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => text.extend(letters.next()),
            letter => text.push(letter),
        }
    }
    text
}

/// The address of a submodule: relative ones begin where the repository is.
pub fn resolve_url(parent: &str, url: &str) -> String {
    if !url.starts_with("./") && !url.starts_with("../") {
        return url.to_owned();
    }
    let mut base = parent.trim_end_matches('/').to_owned();
    let mut rest = url;
    loop {
        if let Some(after) = rest.strip_prefix("./") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix("../") {
            rest = after;
            // Not the host, and not what is before it.
            let start = base.find("://").map_or(0, |at| at + 3);
            let host = base
                .get(start..)
                .and_then(|rest| rest.find(['/', ':']))
                .map_or(base.len(), |at| start + at);
            if let Some(at) = base.rfind(['/', ':']).filter(|at| *at >= host) {
                let scp = base.get(at..).is_some_and(|rest| rest.starts_with(':'));
                base.truncate(if scp { at + 1 } else { at });
            }
        } else {
            break;
        }
    }
    if base.ends_with(':') { format!("{base}{rest}") } else { format!("{base}/{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_read() {
        let text = b"# x\n[core]\n\tpath = no\n[submodule \"lib/a\"]\n\tpath = lib/a ; there\n\turl = \"../a.git\"\n\tbranch = x\n[submodule \"b\"]\nurl=https://h/b\n";
        let a = Module {
            name: "lib/a".to_owned(),
            path: "lib/a".to_owned(),
            url: "../a.git".to_owned(),
        };
        assert_eq!(modules(text), [a]);
        assert_eq!(modules(b"[submodule"), []);
    }

    #[test]
    fn relative_addresses_begin_at_the_repository() {
        for (parent, url, whole) in [
            ("https://h/o/r.git", "../a.git", "https://h/o/a.git"),
            ("https://h/o/r.git", "./a", "https://h/o/r.git/a"),
            ("https://h/o/r.git", "../../p/a", "https://h/p/a"),
            ("https://h/r", "../../../a", "https://h/a"),
            ("git@h:o/r.git", "../a.git", "git@h:o/a.git"),
            ("git@h:r.git", "../a.git", "git@h:a.git"),
            ("https://h/r", "https://other/a", "https://other/a"),
        ] {
            assert_eq!(resolve_url(parent, url), whole, "{parent} {url}");
        }
    }
}
