//! Pure: a build as lines that stay, in BuildKit's form. Lines of one step stand together as long as it goes on writing.

use super::{Change, Ended, Steps, seconds};
use naru_api_types::build::BuildLine;
use std::time::Duration;

/// After this long without a word from the step that is shown, another one may speak.
const SILENCE: Duration = Duration::from_secs(1);
/// Lines of a step that wait for its turn.
const WAITING: usize = 2000;

/// What was printed, and what waits.
#[derive(Debug, Default)]
pub struct Plain {
    steps: Steps,
    pages: Vec<Page>,
    /// Whose lines are printed now.
    shown: Option<usize>,
    last: Duration,
}

/// The lines of one step that wait.
#[derive(Debug, Default)]
struct Page {
    lines: Vec<String>,
    lost: usize,
    over: bool,
    headed: bool,
}

impl Plain {
    /// The build so far.
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// What to print for a line.
    pub fn line(&mut self, line: &BuildLine, now: Duration) -> String {
        let change = self.steps.apply(line, now);
        let place = match change {
            Change::Began(at) => {
                while self.pages.len() <= at {
                    self.pages.push(Page::default());
                }
                at
            }
            Change::Wrote(at, lines) => {
                self.wrote(at, lines);
                at
            }
            Change::Ended(at) => {
                self.ended(at);
                at
            }
            Change::Other => return String::new(),
        };
        let mut text = String::new();
        let current = match self.shown {
            Some(shown) if shown != place && now.saturating_sub(self.last) < SILENCE => {
                return text;
            }
            Some(shown) if shown != place => {
                text.push('\n');
                place
            }
            Some(_) | None => place,
        };
        self.print(current, &mut text);
        self.last = now;
        // Whoever ended while another one spoke has its turn now.
        while self.shown.is_none() {
            let waits = |page: &Page| page.over && (!page.headed || !page.lines.is_empty());
            match self.pages.iter().position(waits) {
                Some(next) => self.print(next, &mut text),
                None => break,
            }
        }
        text
    }

    /// What still waits, at the end of everything.
    pub fn rest(&mut self) -> String {
        let mut text = String::new();
        for at in 0..self.pages.len() {
            if self.pages.get(at).is_some_and(|page| !page.lines.is_empty()) {
                if self.shown.is_some_and(|shown| shown != at) {
                    text.push('\n');
                }
                self.print(at, &mut text);
            }
        }
        text
    }

    fn wrote(&mut self, at: usize, lines: usize) {
        let (Some(step), Some(page)) = (self.steps.rows.get(at), self.pages.get_mut(at)) else {
            return;
        };
        let skip = step.tail.len().saturating_sub(lines);
        page.lost += lines.saturating_sub(step.tail.len());
        for (time, line) in step.tail.iter().skip(skip) {
            if page.lines.len() >= WAITING {
                page.lost += 1;
                continue;
            }
            page.lines.push(format!("#{} {} {line}\n", at + 1, seconds(*time, 3)));
        }
    }

    fn ended(&mut self, at: usize) {
        let (Some(step), Some(page)) = (self.steps.rows.get(at), self.pages.get_mut(at)) else {
            return;
        };
        page.over = true;
        let number = at + 1;
        page.lines.push(match &step.ended {
            Some(Ended::Cached) => format!("#{number} CACHED\n"),
            Some(Ended::Ran(took)) => format!("#{number} DONE {}s\n", seconds(*took, 1)),
            Some(Ended::Failed(_, error)) => format!("#{number} ERROR: {error}\n"),
            None => return,
        });
    }

    fn print(&mut self, at: usize, text: &mut String) {
        let (Some(step), Some(page)) = (self.steps.rows.get(at), self.pages.get_mut(at)) else {
            return;
        };
        let number = at + 1;
        if self.shown != Some(at) {
            text.push_str(&format!("#{number} {}\n", step.name));
            page.headed = true;
        }
        let over = page.over;
        let last = page.lines.len().saturating_sub(usize::from(over));
        for (index, line) in page.lines.drain(..).enumerate() {
            if index == last && page.lost > 0 {
                text.push_str(&format!("#{number} [{} lines are not shown]\n", page.lost));
                page.lost = 0;
            }
            text.push_str(&line);
        }
        self.shown = Some(at);
        if over {
            text.push('\n');
            self.shown = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, done, failed, output, started};
    use super::*;

    fn play(lines: &[(u64, BuildLine)]) -> String {
        let mut plain = Plain::default();
        let mut text: String =
            lines.iter().map(|(time, line)| plain.line(line, at(*time))).collect();
        text.push_str(&plain.rest());
        text
    }

    #[test]
    fn one_step_after_the_other() {
        let text = play(&[
            (0, started(10, "[1/3] FROM box")),
            (0, done(10, true, 0)),
            (1, started(11, "[2/3] RUN echo hi")),
            (124, output(11, "hi\n")),
            (400, done(11, false, 400_000)),
            (401, started(12, "[3/3] RUN false")),
            (500, failed(12, 99_000, "exit code: 1")),
        ]);
        assert_eq!(
            text,
            "#1 [1/3] FROM box\n#1 CACHED\n\n#2 [2/3] RUN echo hi\n#2 0.123 hi\n#2 DONE 0.4s\n\n\
             #3 [3/3] RUN false\n#3 ERROR: exit code: 1\n\n"
        );
    }

    #[test]
    fn lines_of_a_step_stand_together() {
        let text = play(&[
            (0, started(1, "a")),
            (0, started(2, "b")),
            (10, output(1, "a1\n")),
            (10, output(2, "b1\n")),
            (20, output(1, "a2\n")),
            (20, done(2, false, 20_000)),
            (30, done(1, false, 30_000)),
        ]);
        assert_eq!(
            text,
            "#1 a\n#1 0.010 a1\n#1 0.020 a2\n#1 DONE 0.0s\n\n#2 b\n#2 0.010 b1\n#2 DONE 0.0s\n\n"
        );
    }

    #[test]
    fn a_silent_step_does_not_hold_the_others_back() {
        let text = play(&[
            (0, started(1, "a")),
            (0, started(2, "b")),
            (5000, output(2, "b1\n")),
            (5001, output(1, "a1\n")),
            (9000, done(1, false, 9_000_000)),
            (9000, done(2, false, 9_000_000)),
        ]);
        assert_eq!(
            text,
            "#1 a\n\n#2 b\n#2 5.000 b1\n\n#1 a\n#1 5.001 a1\n#1 DONE 9.0s\n\n#2 b\n#2 DONE 9.0s\n\n"
        );
    }

    #[test]
    fn what_waits_is_bounded_and_says_so() {
        let mut lines = vec![(0, started(1, "a")), (0, started(2, "b"))];
        lines.extend((0..WAITING + 5).map(|n| (1, output(2, &format!("{n}\n")))));
        lines.extend([(2, done(2, false, 1)), (3, done(1, false, 1))]);
        let text = play(&lines);
        assert!(text.contains("#2 [5 lines are not shown]\n#2 DONE 0.0s\n"), "{}", text.len());
    }
}
