//! Pure: the steps of a build as they go on, from the lines that the daemon tells of them. How they look is decided by
//! [`plain`] (one line after the other) and [`tty`] (a picture that is drawn again and again).

pub mod plain;
pub mod tty;

use naru_api_types::build::{BuildLine, BuiltImage};
use std::collections::VecDeque;
use std::time::Duration;

/// Lines of output that are kept of each step, for the picture and for the report of a failure.
const KEPT: usize = 50;
/// Bytes of a line that are shown at most.
const LONGEST: usize = 4096;

/// A build so far. All times are since its beginning, by our own clock.
#[derive(Debug, Default)]
pub struct Steps {
    /// In the order in which they began.
    pub rows: Vec<Step>,
    /// What may not be meant so, each with its place.
    pub warnings: Vec<String>,
    /// Names that the image has now.
    pub names: Vec<String>,
    /// The image.
    pub built: Option<BuiltImage>,
    /// How many steps are needed, as far as that is known.
    pub planned: usize,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// The daemon's number for it.
    pub vertex: u64,
    /// What is shown for it.
    pub name: String,
    /// When it began.
    pub began: Duration,
    /// How it ended.
    pub ended: Option<Ended>,
    /// Its last whole lines, each with the time since the step began.
    pub tail: VecDeque<(Duration, String)>,
    /// What it is at, and how far: bytes so far and in all.
    pub progress: Option<(String, u64, u64)>,
    /// The beginning of a line.
    rest: String,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It ran this long.
    Ran(Duration),
    /// It did not have to run.
    Cached,
    /// It failed.
    Failed(Duration, String),
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The step at this place began.
    Began(usize),
    /// The step at this place has this many new lines at the end of its tail.
    Wrote(usize, usize),
    /// The step at this place ended.
    Ended(usize),
    /// Nothing about steps.
    Other,
}

impl Steps {
    /// Takes in a line.
    pub fn apply(&mut self, line: &BuildLine, now: Duration) -> Change {
        match line {
            BuildLine::Started { vertex, name } => {
                if let Some(at) = self.place(*vertex) {
                    return Change::Began(at);
                }
                self.rows.push(Step {
                    vertex: *vertex,
                    name: name.lines().next().unwrap_or_default().to_owned(),
                    began: now,
                    ended: None,
                    tail: VecDeque::new(),
                    progress: None,
                    rest: String::new(),
                });
                Change::Began(self.rows.len() - 1)
            }
            BuildLine::Output { vertex, text, .. } => {
                let Some(at) = self.place(*vertex) else { return Change::Other };
                let Some(step) = self.rows.get_mut(at) else { return Change::Other };
                Change::Wrote(at, step.write(text, now))
            }
            BuildLine::Done { vertex, cached, took, error } => {
                let Some(at) = self.place(*vertex) else { return Change::Other };
                let Some(step) = self.rows.get_mut(at) else { return Change::Other };
                step.flush(now);
                let took = Duration::from_micros(*took);
                step.ended = Some(match error {
                    Some(error) => Ended::Failed(took, error.clone()),
                    None if *cached => Ended::Cached,
                    None => Ended::Ran(took),
                });
                Change::Ended(at)
            }
            BuildLine::Warning { message, place, check } => {
                let check = check.as_ref().map(|check| format!("{check}: ")).unwrap_or_default();
                let place = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
                self.warnings.push(format!("{check}{message}{place}"));
                Change::Other
            }
            BuildLine::Tagged { name } => {
                self.names.push(name.clone());
                Change::Other
            }
            BuildLine::Built(image) => {
                self.built = Some(image.clone());
                Change::Other
            }
            BuildLine::Planned { vertices } => {
                self.planned = usize::try_from(*vertices).unwrap_or(0);
                Change::Other
            }
            BuildLine::Progress { vertex, what, current, total } => {
                let step = self.place(*vertex).and_then(|at| self.rows.get_mut(at));
                if let Some(step) = step {
                    step.progress = Some((what.clone(), *current, *total));
                }
                Change::Other
            }
            BuildLine::Failed(_) => Change::Other,
        }
    }

    fn place(&self, vertex: u64) -> Option<usize> {
        self.rows.iter().rposition(|step| step.vertex == vertex)
    }

    /// How many steps ended, and how many of them did not have to run.
    pub fn counts(&self) -> (usize, usize) {
        let ended = self.rows.iter().filter(|step| step.ended.is_some()).count();
        let cached = self.rows.iter().filter(|step| step.ended == Some(Ended::Cached)).count();
        (ended, cached)
    }

    /// What the step that failed wrote last, as BuildKit reports it.
    pub fn report(&self) -> String {
        let failed = |step: &&Step| matches!(step.ended, Some(Ended::Failed(..)));
        let Some(step) = self.rows.iter().find(failed) else { return String::new() };
        if step.tail.is_empty() {
            return String::new();
        }
        let mut text = format!("------\n > {}:\n", step.name);
        for (time, line) in &step.tail {
            text.push_str(&format!("{} {line}\n", seconds(*time, 3)));
        }
        text.push_str("------\n");
        text
    }

    /// What was made, and how long it took: one line for each thing.
    pub fn summary(&self, now: Duration) -> String {
        let mut text = String::new();
        for warning in &self.warnings {
            text.push_str(&format!("WARN: {warning}\n"));
        }
        if let Some(image) = &self.built {
            let (ended, cached) = self.counts();
            let steps = if ended == 1 { "step" } else { "steps" };
            text.push_str(&format!(
                "Built {} in {}s: {ended} {steps}, {cached} from the cache\n",
                image.id,
                seconds(now, 1)
            ));
        }
        for name in &self.names {
            text.push_str(&format!("Tagged {name}\n"));
        }
        text
    }
}

impl Step {
    /// Adds output; answers how many whole lines it made.
    fn write(&mut self, text: &str, now: Duration) -> usize {
        let since = now.saturating_sub(self.began);
        self.rest.push_str(text);
        let mut lines = 0;
        while let Some((line, rest)) = self.rest.split_once('\n') {
            let line = visible(line);
            self.rest = rest.to_owned();
            self.keep(since, line);
            lines += 1;
        }
        if self.rest.len() > LONGEST {
            let line = visible(&std::mem::take(&mut self.rest));
            self.keep(since, line);
            lines += 1;
        }
        lines
    }

    fn flush(&mut self, now: Duration) {
        if !self.rest.is_empty() {
            let line = visible(&std::mem::take(&mut self.rest));
            self.keep(now.saturating_sub(self.began), line);
        }
    }

    fn keep(&mut self, since: Duration, line: String) {
        if self.tail.len() == KEPT {
            self.tail.pop_front();
        }
        self.tail.push_back((since, line));
    }
}

/// What is left of a line that went back to its beginning again and again, without what would steer a terminal.
fn visible(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut text = String::with_capacity(line.len().min(LONGEST));
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        if text.len() >= LONGEST {
            text.push('…');
            break;
        }
        match char {
            '\t' => text.push(char),
            // A sequence of a terminal ends with a letter.
            '\u{1b}' => {
                if chars.next() == Some('[') {
                    for char in chars.by_ref() {
                        if ('@'..='~').contains(&char) {
                            break;
                        }
                    }
                }
            }
            char if char.is_control() => {}
            char => text.push(char),
        }
    }
    text
}

/// Seconds with this many digits behind the point.
pub(crate) fn seconds(time: Duration, digits: usize) -> String {
    format!("{:.digits$}", time.as_secs_f64())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn started(vertex: u64, name: &str) -> BuildLine {
        BuildLine::Started { vertex, name: name.to_owned() }
    }

    pub(crate) fn output(vertex: u64, text: &str) -> BuildLine {
        BuildLine::Output { vertex, stderr: false, text: text.to_owned() }
    }

    pub(crate) fn done(vertex: u64, cached: bool, took: u64) -> BuildLine {
        BuildLine::Done { vertex, cached, took, error: None }
    }

    pub(crate) fn failed(vertex: u64, took: u64, error: &str) -> BuildLine {
        BuildLine::Done { vertex, cached: false, took, error: Some(error.to_owned()) }
    }

    pub(crate) fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn output_comes_in_pieces_and_is_kept_in_lines() {
        let mut steps = Steps::default();
        steps.apply(&started(7, "RUN x"), at(0));
        assert_eq!(steps.apply(&output(7, "a"), at(1)), Change::Wrote(0, 0));
        assert_eq!(steps.apply(&output(7, "b\nc\nd"), at(2)), Change::Wrote(0, 2));
        steps.apply(&done(7, false, 5), at(3));
        let lines: Vec<&str> = steps.rows[0].tail.iter().map(|(_, line)| &**line).collect();
        assert_eq!(lines, ["ab", "c", "d"]);
    }

    #[test]
    fn nothing_steers_the_terminal() {
        for (line, seen) in [
            ("10%\r20%\r30%", "30%"),
            ("done\r", "done"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}x", "0;titlex"),
            ("a\tb\u{8}", "a\tb"),
        ] {
            assert_eq!(visible(line), seen, "{line:?}");
        }
        assert_eq!(visible(&"x".repeat(10_000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_step_that_writes_without_end_is_bounded() {
        let mut steps = Steps::default();
        steps.apply(&started(1, "RUN yes"), at(0));
        for _ in 0..1000 {
            steps.apply(&output(1, &"y".repeat(1000)), at(1));
        }
        assert!(steps.rows[0].tail.len() <= KEPT && steps.rows[0].rest.len() <= LONGEST + 1000);
    }

    #[test]
    fn the_report_shows_what_the_failed_step_wrote() {
        let mut steps = Steps::default();
        steps.apply(&started(1, "[1/2] FROM box"), at(0));
        steps.apply(&done(1, true, 0), at(1));
        steps.apply(&started(2, "[2/2] RUN exit 3"), at(10));
        steps.apply(&output(2, "oh no\n"), at(133));
        steps.apply(&failed(2, 200_000, "exit code: 3"), at(210));
        assert_eq!(steps.report(), "------\n > [2/2] RUN exit 3:\n0.123 oh no\n------\n");
        assert_eq!(steps.counts(), (2, 1));
    }
}
