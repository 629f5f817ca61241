//! Pure: a build as a picture on a terminal: one line a step with its time, the last lines of what runs under it, drawn
//! anew over the picture before.

use super::{Ended, Steps, seconds};
use crate::render::units;
use naru_api_types::build::BuildLine;
use std::time::Duration;

/// Lines of output under a step that runs.
const TAIL: usize = 6;
/// The smallest width that is drawn for.
const NARROWEST: usize = 20;

/// The picture.
#[derive(Debug, Default)]
pub struct Picture {
    steps: Steps,
    drawn: usize,
}

/// How large the terminal is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
}

impl Picture {
    /// The build so far.
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// Takes in a line; what it changes is seen with the next [`Picture::draw`].
    pub fn line(&mut self, line: &BuildLine, now: Duration) {
        self.steps.apply(line, now);
    }

    /// What to send to the terminal. The last picture has every step, however many there are.
    pub fn draw(&mut self, now: Duration, size: Size, last: bool) -> String {
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\u{1b}[{}A", self.drawn));
        }
        let lines = self.lines(now, size, last);
        for line in &lines {
            text.push_str(&format!("\r\u{1b}[2K{line}\n"));
        }
        // What is left of a longer picture before.
        if lines.len() < self.drawn {
            text.push_str("\u{1b}[J");
        }
        self.drawn = lines.len();
        text
    }

    fn lines(&self, now: Duration, size: Size, last: bool) -> Vec<String> {
        let width = size.columns.max(NARROWEST);
        let (ended, _) = self.steps.counts();
        let all = self.steps.rows.len().max(self.steps.planned);
        let state = if last { "FINISHED" } else { "" };
        let head = format!("[+] Building {}s ({ended}/{all}) {state}", seconds(now, 1))
            .trim_end()
            .to_owned();
        // The cursor stands below the picture.
        let room = if last { usize::MAX } else { size.rows.saturating_sub(2).max(1) };
        let mut runs = Vec::new();
        let mut over = Vec::new();
        for step in &self.steps.rows {
            let (mark, time) = match &step.ended {
                None => ("", now.saturating_sub(step.began)),
                Some(Ended::Cached) => ("CACHED ", Duration::ZERO),
                Some(Ended::Ran(took)) => ("", *took),
                Some(Ended::Failed(took, _)) => ("ERROR ", *took),
            };
            let line = row(&format!(" => {mark}{}", step.name), &seconds(time, 1), width);
            if step.ended.is_some() {
                over.push(line);
                continue;
            }
            let tail = step.tail.len().saturating_sub(TAIL);
            let far = step.progress.iter().map(|(what, current, total)| {
                let size = |count: u64| units::human_size(i64::try_from(count).unwrap_or(i64::MAX));
                let of = if *total > 0 { format!(" / {}", size(*total)) } else { String::new() };
                cut(&format!(" => => {what} {}{of}", size(*current)), width)
            });
            let said = step.tail.iter().skip(tail);
            let said = said.map(|(_, line)| cut(&format!(" => => # {line}"), width));
            let under: Vec<String> = far.chain(said).collect();
            runs.push((line, under));
        }
        // What is over gives way first, then what the running ones wrote.
        let heads = runs.len();
        let under: usize = runs.iter().map(|(_, under)| under.len()).sum();
        let keep_over = room.saturating_sub(heads.saturating_add(under)).min(over.len());
        let mut under_room = room.saturating_sub(heads.saturating_add(keep_over));
        let mut lines = vec![cut(&head, width)];
        lines.extend(over.iter().skip(over.len() - keep_over).cloned());
        for (line, under) in runs.into_iter().take(room) {
            lines.push(line);
            let take = under.len().min(under_room);
            under_room -= take;
            lines.extend(under.into_iter().rev().take(take).rev());
        }
        lines
    }
}

/// A text with a time at the right edge.
fn row(text: &str, time: &str, width: usize) -> String {
    let time = format!(" {time}s");
    let room = width.saturating_sub(time.chars().count());
    let text = cut(text, room);
    let gap = room.saturating_sub(text.chars().count());
    format!("{text}{}{time}", " ".repeat(gap))
}

/// As much of a text as a line holds. Tabs would take more room than one.
fn cut(text: &str, width: usize) -> String {
    text.chars().map(|char| if char == '\t' { ' ' } else { char }).take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, done, failed, output, started};
    use super::*;

    const SIZE: Size = Size { rows: 24, columns: 40 };

    #[test]
    fn a_picture() {
        let mut picture = Picture::default();
        picture.line(&started(1, "[1/2] FROM box"), at(0));
        picture.line(&done(1, true, 0), at(1));
        picture.line(&started(2, "[2/2] RUN make"), at(100));
        picture.line(&output(2, "cc a.c\ncc b.c\n"), at(200));
        let lines = picture.lines(at(1100), SIZE, false);
        assert_eq!(
            lines,
            [
                "[+] Building 1.1s (1/2)",
                " => CACHED [1/2] FROM box           0.0s",
                " => [2/2] RUN make                  1.0s",
                " => => # cc a.c",
                " => => # cc b.c",
            ]
        );
        assert!(!picture.draw(at(1100), SIZE, false).contains("\u{1b}[5A"));
        picture.line(&failed(2, 1_500_000, "exit code: 2"), at(1600));
        let text = picture.draw(at(1600), SIZE, true);
        assert!(text.starts_with("\u{1b}[5A\r\u{1b}[2K[+] Building 1.6s (2/2) FINISHED\n"));
        assert!(text.contains(" => ERROR [2/2] RUN make            1.5s\n"), "{text:?}");
        assert!(text.ends_with("\u{1b}[J"));
    }

    #[test]
    fn a_small_terminal_shows_what_runs() {
        let mut picture = Picture::default();
        for vertex in 0..50 {
            picture.line(&started(vertex, &format!("step {vertex}")), at(0));
            picture.line(&done(vertex, false, 10), at(1));
        }
        for vertex in 100..104 {
            picture.line(&started(vertex, "runs"), at(2));
            picture.line(&output(vertex, "1\n2\n3\n4\n5\n6\n7\n8\n"), at(3));
        }
        for rows in 1..40 {
            let lines = picture.lines(at(5), Size { rows, columns: 10 }, false);
            assert!(lines.len() <= rows.max(2), "{rows}: {}", lines.len());
            assert!(lines.iter().all(|line| line.chars().count() <= NARROWEST));
        }
        assert_eq!(picture.lines(at(5), SIZE, true).len(), 1 + 50 + 4 * (1 + TAIL));
    }
}
