//! Acts: `top`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::table;

pub(super) fn top(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let arguments = flags.args().get(1..).unwrap_or_default().join(" ");
    let top =
        app.talk(async |client| Ok(client.top_container(flags.arg(0), &arguments).await?))?;
    let mut text = top.titles.join("\t") + "\n";
    for process in &top.processes {
        text.push_str(&process.join("\t"));
        text.push('\n');
    }
    printer::out(&table::layout_wide(&text))?;
    Ok(ExitStatus::SUCCESS)
}
