//! Acts: `diff`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;

pub(super) fn diff(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    if flags.arg(0).is_empty() {
        return Err(naru_errdefs::Fault::invalid("container name cannot be empty").into());
    }
    app.talk(async |client| {
        let mut text = String::new();
        for change in client.container_changes(flags.arg(0)).await? {
            let letter = match change.kind {
                1 => 'A',
                2 => 'D',
                _ => 'C',
            };
            text.push_str(&format!("{letter} {}\n", change.path));
        }
        printer::out(&text)?;
        Ok(ExitStatus::SUCCESS)
    })
}
