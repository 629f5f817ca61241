//! Pure: progress lines of long operations as text, as docker's client shows them: on a terminal one line for each thing
//! that is worked on, redrawn as it goes on; elsewhere only what does not count.

use super::units;
use naru_api_types::progress::{ProgressDetail, ProgressLine};

/// The width of a terminal that does not say its own.
const USUAL_WIDTH: u16 = 200;

/// What to print for a line where nothing can be redrawn; nothing when it says nothing to a person.
pub fn show(line: &ProgressLine) -> Option<String> {
    if line.aux.is_some() || line.progress_detail.is_some_and(counts) {
        return None;
    }
    if let Some(text) = &line.stream {
        return Some(text.clone());
    }
    Some(prefixed(line, &format!("{}\n", words(line)?)))
}

/// A detail that says how far something got.
fn counts(detail: ProgressDetail) -> bool {
    detail.current.unwrap_or(0) > 0 || detail.total.unwrap_or(0) > 0
}

fn words(line: &ProgressLine) -> Option<String> {
    let status = line.status.as_deref().filter(|status| !status.is_empty())?;
    Some(match line.progress.as_deref().filter(|bar| !bar.is_empty()) {
        Some(bar) => format!("{status} {bar}"),
        None => status.to_owned(),
    })
}

fn prefixed(line: &ProgressLine, text: &str) -> String {
    match line.id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => format!("{id}: {text}"),
        None => text.to_owned(),
    }
}

/// Progress on a terminal.
#[derive(Debug, Default)]
pub struct Board {
    ids: Vec<String>,
}

impl Board {
    /// What to send to a terminal of this width for a line.
    pub fn update(&mut self, line: &ProgressLine, width: Option<u16>) -> Option<String> {
        if line.aux.is_some() {
            return None;
        }
        let detail = line.progress_detail.filter(|_| line.stream.is_none());
        let id = line.id.as_ref().filter(|id| !id.is_empty());
        let (Some(detail), Some(id)) = (detail, id) else {
            // What is printed for good ends the block of lines above it.
            self.ids.clear();
            return show(line);
        };
        let mut text = String::new();
        let at = self.ids.iter().position(|known| known == id).unwrap_or_else(|| {
            self.ids.push(id.clone());
            text.push('\n');
            self.ids.len() - 1
        });
        let up = self.ids.len() - at;
        let bar = bar(detail, width.unwrap_or(USUAL_WIDTH));
        let body = prefixed(line, &format!("{} {bar}", line.status.as_deref().unwrap_or("")));
        text.push_str(&format!("\u{1b}[{up}A\u{1b}[2K\r{body}\r\u{1b}[{up}B"));
        Some(text)
    }
}

/// `[=====>     ]  12.3MB/45.6MB`; without the bar on narrow terminals.
fn bar(detail: ProgressDetail, width: u16) -> String {
    let (current, total) = (detail.current.unwrap_or(0), detail.total.unwrap_or(0));
    let size = |count: u64| units::human_size(i64::try_from(count).unwrap_or(i64::MAX));
    match (current, total) {
        (0, 0) => return String::new(),
        (_, 0) => return format!("{:>8}", size(current)),
        _ => {}
    }
    let numbers = if current > total {
        format!("{:>8}", size(current))
    } else {
        format!("{:>8}/{}", size(current), size(total))
    };
    if width <= 110 {
        return numbers;
    }
    let done = u128::from(current) * 100 / u128::from(total) / 2;
    let done = usize::try_from(done.min(50)).unwrap_or(50);
    format!("[{}>{}] {numbers}", "=".repeat(done), " ".repeat(50 - done))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(status: &str, id: &str, detail: Option<(u64, u64)>) -> ProgressLine {
        let some = |count: u64| Some(count).filter(|count| *count > 0);
        ProgressLine {
            progress_detail: detail
                .map(|(done, all)| ProgressDetail { current: some(done), total: some(all) }),
            ..ProgressLine::status(status, Some(id.to_owned()))
        }
    }

    #[test]
    fn lines() {
        assert_eq!(show(&ProgressLine::stream("Loaded image: x\n")).unwrap(), "Loaded image: x\n");
        assert_eq!(show(&line("Pull complete", "a", Some((0, 0)))).unwrap(), "a: Pull complete\n");
        assert_eq!(show(&line("Pulling from x", "1", None)).unwrap(), "1: Pulling from x\n");
        assert_eq!(show(&line("Done", "", None)).unwrap(), "Done\n");
        assert_eq!(show(&line("Downloading", "a", Some((1, 2)))), None);
        assert_eq!(show(&ProgressLine::default()), None);
        let aux = Some(serde_json::json!({"Tag": "1"}));
        assert_eq!(show(&ProgressLine { aux, ..ProgressLine::default() }), None);
    }

    #[test]
    fn bars() {
        for (done, total, width, expected) in [
            (0, 0, 200, String::new()),
            (5_000_000, 0, 200, "     5MB".to_owned()),
            (0, 100, 200, format!("[>{}]       0B/100B", " ".repeat(50))),
            (50, 100, 200, format!("[{}>{}]      50B/100B", "=".repeat(25), " ".repeat(25))),
            (100, 100, 200, format!("[{}>]     100B/100B", "=".repeat(50))),
            (200, 100, 200, format!("[{}>]     200B", "=".repeat(50))),
            (1_234_567, 45_600_000, 80, " 1.235MB/45.6MB".to_owned()),
        ] {
            let detail = ProgressDetail { current: Some(done), total: Some(total) };
            assert_eq!(bar(detail, width), expected, "{done} {total} {width}");
        }
    }

    #[test]
    fn a_terminal_has_one_line_for_each_thing() {
        let mut board = Board::default();
        let mut update = |line: &ProgressLine| board.update(line, Some(80)).unwrap();
        assert_eq!(update(&line("Pulling from x", "1", None)), "1: Pulling from x\n");
        let none = Some((0, 0));
        assert_eq!(update(&line("1", "a", none)), "\n\u{1b}[1A\u{1b}[2K\ra: 1 \r\u{1b}[1B");
        assert_eq!(update(&line("1", "b", none)), "\n\u{1b}[1A\u{1b}[2K\rb: 1 \r\u{1b}[1B");
        let counting = line("2", "a", Some((1, 2)));
        assert_eq!(update(&counting), "\u{1b}[2A\u{1b}[2K\ra: 2       1B/2B\r\u{1b}[2B");
        assert_eq!(update(&ProgressLine::stream("done\n")), "done\n");
        assert_eq!(update(&line("3", "a", none)), "\n\u{1b}[1A\u{1b}[2K\ra: 3 \r\u{1b}[1B");
    }
}
