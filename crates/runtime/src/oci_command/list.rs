//! Acts: `list` and `ps`.

use super::arguments::Parsed;
use super::state::{cgroup, shown};
use super::{Global, io, say};
use naru_errdefs::Fault;
use std::fmt::Write as _;

/// `list [--format table|json] [--quiet]`.
pub(super) fn list(global: &Global, parsed: &mut Parsed) -> Result<u8, Fault> {
    parsed.end()?;
    let mut names = match std::fs::read_dir(&global.root) {
        Ok(entries) => entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect::<Vec<_>>(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(io(format!("cannot list `{}`", global.root.display()))(error));
        }
    };
    names.sort();
    // One that is being made or removed has no state.
    let states = names.iter().filter_map(|name| global.read(name).ok()).collect::<Vec<_>>();
    let shown = states.iter().map(|state| shown(global, state)).collect::<Vec<_>>();
    if parsed.options.has("quiet") {
        return say(&states.iter().fold(String::new(), |all, state| all + &state.id + "\n"));
    }
    match parsed.options.value("format") {
        Some("json") => say(&format!("{}\n", serde_json::Value::from(shown))),
        None | Some("table") => {
            let mut text = format!("{:<28} {:<10} {:<10} {}\n", "ID", "PID", "STATUS", "BUNDLE");
            for state in shown {
                let word = |name: &str| match state.get(name) {
                    Some(serde_json::Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                    None => String::new(),
                };
                let (id, pid, status, bundle) =
                    (word("id"), word("pid"), word("status"), word("bundle"));
                writeln!(text, "{id:<28} {pid:<10} {status:<10} {bundle}").unwrap_or_default();
            }
            say(&text)
        }
        Some(other) => {
            Err(Fault::invalid(format!("`{other}` is not a format"))
                .with_hint("use `table` or `json`"))
        }
    }
}

/// `ps ID`: the numbers of its processes.
pub(super) fn processes(global: &Global, parsed: &mut Parsed) -> Result<u8, Fault> {
    let id = parsed.id()?;
    parsed.end()?;
    let state = global.read(&id)?;
    let processes = match cgroup(&state)? {
        Some(cgroup) => cgroup.processes()?,
        None => Vec::new(),
    };
    if parsed.options.value("format") == Some("json") {
        return say(&format!("{}\n", serde_json::json!(processes)));
    }
    say(&processes.iter().fold(String::from("PID\n"), |all, pid| format!("{all}{pid}\n")))
}
