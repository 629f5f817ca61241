//! The table: figures, ratios, and a mark for what misses its bar. Acts: writes `docs/benchmarks.md`.

use crate::shell;

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Our figure, with its unit.
    pub ours: String,
    /// The peers' figures, with names and ratios.
    pub peers: String,
    /// The bar, in words.
    pub bar: String,
    /// Whether the bar is met; `None` where there is no bar.
    pub met: Option<bool>,
}

/// Prints the table and, when `keep`, puts it into the document between the marks of its section.
pub fn publish(section: &str, rows: &[Row], keep: bool) -> Result<(), String> {
    let table = render(rows);
    shell::say(&table);
    if keep {
        let path = shell::root().join("docs/benchmarks.md");
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        let text = replace(&old, section, &format!("{}\n\n{table}", machine()));
        write(&path, &text)?;
    }
    Ok(())
}

/// Writes a text file.
pub fn write(path: &std::path::Path, text: &str) -> Result<(), String> {
    write_bytes(path, text.as_bytes())
}

/// Writes a file.
#[expect(
    clippy::disallowed_methods,
    reason = "a document in the work tree or a temporary file needs no atomic write"
)]
pub fn write_bytes(path: &std::path::Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes)
        .map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

/// Pure: the table in Markdown.
fn render(rows: &[Row]) -> String {
    let mut text = String::from(
        "| what | Naru | peers in the same run | bar | |\n| --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let mark = match row.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {mark} |\n",
            row.what, row.ours, row.peers, row.bar
        ));
    }
    text
}

/// Pure: the document with the section between its marks replaced, or added at the end.
fn replace(old: &str, section: &str, body: &str) -> String {
    let (begin, end) = (format!("<!-- begin {section} -->"), format!("<!-- end {section} -->"));
    let block = format!("{begin}\n{body}\n{end}");
    match (old.split_once(&begin), old.split_once(&end)) {
        (Some((before, _)), Some((_, after))) => format!("{before}{block}{after}"),
        _ => format!("{old}\n{block}\n"),
    }
}

/// What machine the figures are from.
fn machine() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpu = std::fs::read_to_string("/proc/cpuinfo")
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")
                .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
        })
        .unwrap_or_default();
    let date = shell::output("date", &["-u", "+%Y-%m-%d"]).unwrap_or_default();
    format!("Measured {} on {cpus} cores ({cpu}), Linux {}.", date.trim(), kernel.trim())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_section_is_replaced_and_the_rest_kept() {
        let first = super::replace("# x\n", "run", "one");
        assert!(first.contains("<!-- begin run -->\none\n<!-- end run -->"));
        let second = super::replace(&first, "run", "two");
        assert!(second.contains("two") && !second.contains("one") && second.starts_with("# x"));
    }
}
