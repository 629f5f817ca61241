//! Pure: progress lines of long operations as text.

use naru_api_types::progress::ProgressLine;

/// What to print for a line; nothing when it says nothing to a person.
pub fn show(line: &ProgressLine) -> Option<String> {
    if let Some(text) = &line.stream {
        return Some(text.clone());
    }
    let status = line.status.as_deref().filter(|status| !status.is_empty())?;
    let mut text = match &line.id {
        Some(id) if !id.is_empty() => format!("{id}: {status}"),
        _ => status.to_owned(),
    };
    if let Some(bar) = line.progress.as_deref().filter(|bar| !bar.is_empty()) {
        text.push(' ');
        text.push_str(bar);
    }
    text.push('\n');
    Some(text)
}

/// Progress on a terminal: one line for each thing that is worked on, written over as it goes on.
#[derive(Debug, Default)]
pub struct Board {
    ids: Vec<String>,
}

impl Board {
    /// What to send to the terminal for a line.
    pub fn update(&mut self, line: &ProgressLine) -> Option<String> {
        let text = show(line)?;
        let Some(id) = line.id.as_ref().filter(|id| !id.is_empty() && line.stream.is_none()) else {
            // What is printed for good ends the block of lines above it.
            self.ids.clear();
            return Some(text);
        };
        match self.ids.iter().position(|known| known == id) {
            None => {
                self.ids.push(id.clone());
                Some(text)
            }
            Some(at) => {
                let up = self.ids.len() - at;
                let down = if up > 1 { format!("\u{1b}[{}B", up - 1) } else { String::new() };
                Some(format!("\u{1b}[{up}A\u{1b}[2K\r{text}{down}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = |status: &str, id: &str| ProgressLine::status(status, Some(id.to_owned()));
        assert_eq!(show(&ProgressLine::stream("Loaded image: x\n")).unwrap(), "Loaded image: x\n");
        assert_eq!(show(&line("Extracting", "abc")).unwrap(), "abc: Extracting\n");
        assert_eq!(show(&line("Done", "")).unwrap(), "Done\n");
        assert_eq!(show(&ProgressLine::default()), None);
    }

    #[test]
    fn a_terminal_has_one_line_for_each_thing() {
        let line = |status: &str, id: &str| ProgressLine::status(status, Some(id.to_owned()));
        let mut board = Board::default();
        assert_eq!(board.update(&line("1", "a")).unwrap(), "a: 1\n");
        assert_eq!(board.update(&line("1", "b")).unwrap(), "b: 1\n");
        assert_eq!(board.update(&line("2", "b")).unwrap(), "\u{1b}[1A\u{1b}[2K\rb: 2\n");
        assert_eq!(board.update(&line("2", "a")).unwrap(), "\u{1b}[2A\u{1b}[2K\ra: 2\n\u{1b}[1B");
        assert_eq!(board.update(&ProgressLine::stream("done\n")).unwrap(), "done\n");
        assert_eq!(board.update(&line("3", "a")).unwrap(), "a: 3\n");
    }
}
