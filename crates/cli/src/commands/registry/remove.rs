//! Acts: `registry rm`.

use super::place::{Part, access, split_host, split_part};
use crate::commands::system::prune::confirm;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use naru_errdefs::Fault;

pub(super) fn remove(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let mut asked = Vec::new();
    for text in flags.args() {
        let (host, rest) = split_host(text);
        let (repository, part) = split_part(rest)?;
        asked.push((host, repository, part));
    }
    let whole: Vec<String> = asked
        .iter()
        .filter(|(_, _, part)| *part == Part::Whole)
        .map(|(_, repository, _)| format!("  - {repository}"))
        .collect();
    if !whole.is_empty() {
        confirm(
            flags,
            &format!(
                "WARNING! This will remove these repositories with all their tags:\n{}\n",
                whole.join("\n")
            ),
        )?;
    }
    let mut status = ExitStatus::SUCCESS;
    for (host, repository, part) in &asked {
        let done = access(app, flags, *host).and_then(|(registry, shown)| {
            let name = format!("{shown}{repository}");
            Ok::<String, Fault>(match part {
                Part::Whole => {
                    registry.remove_repository(repository)?;
                    format!("Deleted: {name}\n")
                }
                Part::Reference(reference) => {
                    registry.remove(repository, reference)?;
                    match reference.contains(':') {
                        true => format!("Deleted: {name}@{reference}\n"),
                        false => format!("Untagged: {name}:{reference}\n"),
                    }
                }
            })
        });
        match done {
            Ok(line) => printer::out(&line)?,
            Err(fault) => {
                printer::report(&fault);
                status = ExitStatus::FAILURE;
            }
        }
    }
    Ok(status)
}
