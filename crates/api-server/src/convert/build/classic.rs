//! Pure: a build as the messages of docker's classic builder.
//!
//! That one does one step after the other and says so in one stream. Here steps run side by side, so the words of a step
//! wait until those before it have been said. The container in ` ---> Running in` is none that could be inspected: it is
//! named because clients read the line.

use super::text::Texts;
use naru_api_types::progress::{ErrorDetail, ProgressDetail, ProgressLine};
use naru_engine::builds::{BuildEvent, BuildFailure, Built};
use naru_errdefs::one_line;
use naru_oci::Digest;
use std::collections::BTreeMap;

/// Messages that wait at most, of all steps together; of more the last ones are kept.
const WAITING: usize = 10_000;

/// The messages of a build.
#[derive(Debug)]
pub(crate) struct Classic {
    quiet: bool,
    removes: bool,
    texts: Texts,
    /// The steps that have begun, by their vertex.
    places: BTreeMap<u32, Place>,
    /// What waits for its turn, by the number of the step.
    waiting: BTreeMap<usize, Step>,
    waits: usize,
    /// The number of the step that may speak.
    turn: usize,
    /// What a quiet build says only if it fails.
    unsaid: Vec<ProgressLine>,
    names: Vec<String>,
}

#[derive(Debug)]
struct Place {
    step: Option<usize>,
    form: Form,
    container: String,
    /// Whether the container was named.
    told: bool,
}

/// How a step is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `FROM`: it is never cached, and nothing runs.
    From,
    /// `COPY` and `ADD`: nothing runs.
    Copy,
    /// All others run in a container there.
    Run,
}

#[derive(Debug, Default)]
struct Step {
    lines: Vec<ProgressLine>,
    over: bool,
}

impl Classic {
    /// Nothing was said yet. `removes` is whether the client asked for the removal of containers that there are none of.
    pub(crate) fn new(quiet: bool, removes: bool) -> Classic {
        Classic {
            quiet,
            removes,
            texts: Texts::default(),
            places: BTreeMap::new(),
            waiting: BTreeMap::new(),
            waits: 0,
            turn: 1,
            unsaid: Vec::new(),
            names: Vec::new(),
        }
    }

    /// What is said of an event.
    pub(crate) fn event(&mut self, event: BuildEvent) -> Vec<ProgressLine> {
        match event {
            BuildEvent::Planned { .. } => Vec::new(),
            BuildEvent::VertexStarted { id, name, instruction, step, .. } => {
                let form = form(&instruction);
                let container = Digest::of(format!("{id} {name}").as_bytes()).hex();
                let container = container.chars().take(12).collect();
                let at = step.map(|(at, _)| at);
                self.places.insert(id, Place { step: at, form, container, told: false });
                let Some((at, all)) = step else { return Vec::new() };
                self.waiting.entry(at).or_default();
                let head = ProgressLine::stream(format!("Step {at}/{all} : {instruction}"));
                self.say(Some(at), vec![head, ProgressLine::stream("\n")])
            }
            BuildEvent::VertexOutput { id, stderr, bytes } => {
                let text = self.texts.take(id, stderr, &bytes);
                self.output(id, stderr, text)
            }
            BuildEvent::VertexProgress { id, what, current, total } => {
                let step = self.places.get(&id).and_then(|place| place.step);
                let detail = ProgressDetail {
                    current: Some(current),
                    total: Some(total).filter(|total| *total > 0),
                };
                let line = ProgressLine {
                    progress_detail: Some(detail),
                    ..ProgressLine::status("Downloading", Some(what))
                };
                // What only counts does not wait.
                if step.is_some_and(|step| step != self.turn) || self.quiet {
                    return Vec::new();
                }
                vec![line]
            }
            BuildEvent::VertexDone { id, cached, result, error, .. } => {
                self.done(id, cached, result, error.is_some())
            }
            BuildEvent::Warning(warning) => {
                let text = format!("[Warning] {}\n", warning.message);
                self.say(None, vec![ProgressLine::stream(text)])
            }
            BuildEvent::Tagged(reference) => {
                self.names.push(reference.familiar());
                Vec::new()
            }
        }
    }

    fn output(&mut self, id: u32, stderr: bool, text: String) -> Vec<ProgressLine> {
        if text.is_empty() {
            return Vec::new();
        }
        let Some(place) = self.places.get_mut(&id) else { return Vec::new() };
        let text = if stderr { format!("\u{1b}[91m{text}\u{1b}[0m") } else { text };
        let step = place.step;
        let mut lines = running(place);
        lines.push(ProgressLine::stream(text));
        self.say(step, lines)
    }

    fn done(
        &mut self,
        id: u32,
        cached: bool,
        result: Option<Digest>,
        failed: bool,
    ) -> Vec<ProgressLine> {
        let mut said = Vec::new();
        for (stderr, text) in self.texts.end(id) {
            said.extend(self.output(id, stderr, text));
        }
        let Some(mut place) = self.places.remove(&id) else { return said };
        let Some(at) = place.step else { return said };
        let mut lines = Vec::new();
        if cached && place.form != Form::From {
            lines.push(ProgressLine::stream(" ---> Using cache\n"));
        } else if place.form == Form::Run {
            lines.extend(running(&mut place));
            if self.removes && !failed {
                let text = format!("Removing intermediate container {}\n", place.container);
                lines.push(ProgressLine::stream(text));
            }
        }
        if !failed {
            let short = result.map(|digest| digest.hex().chars().take(12).collect::<String>());
            lines.push(ProgressLine::stream(format!(" ---> {}\n", short.unwrap_or_default())));
        }
        if let Some(step) = self.waiting.get_mut(&at) {
            step.over = true;
        }
        said.extend(self.say(Some(at), lines));
        said
    }

    /// Says something of a step, now or when its turn has come.
    fn say(&mut self, step: Option<usize>, lines: Vec<ProgressLine>) -> Vec<ProgressLine> {
        let Some(at) = step else { return self.aloud(lines) };
        let page = self.waiting.entry(at).or_default();
        self.waits += lines.len();
        page.lines.extend(lines);
        if self.waits > WAITING && at != self.turn && page.lines.len() > WAITING / 10 {
            let excess = page.lines.len() - WAITING / 10;
            // The head stays.
            page.lines.drain(2..2 + excess.min(page.lines.len().saturating_sub(2)));
            self.waits = self.waits.saturating_sub(excess);
        }
        let mut said = Vec::new();
        while let Some(page) = self.waiting.get_mut(&self.turn) {
            self.waits = self.waits.saturating_sub(page.lines.len());
            said.append(&mut page.lines);
            if !page.over {
                break;
            }
            self.waiting.remove(&self.turn);
            self.turn += 1;
        }
        self.aloud(said)
    }

    /// A quiet build keeps to itself what it says unless it fails.
    fn aloud(&mut self, lines: Vec<ProgressLine>) -> Vec<ProgressLine> {
        if !self.quiet {
            return lines;
        }
        self.unsaid.extend(lines);
        if self.unsaid.len() > WAITING {
            self.unsaid.drain(..self.unsaid.len() - WAITING);
        }
        Vec::new()
    }

    /// How it ended.
    pub(crate) fn end(&mut self, result: &Result<Built, BuildFailure>) -> Vec<ProgressLine> {
        let mut lines = Vec::new();
        // What never had its turn: steps that nobody needed leave gaps.
        for (_, step) in std::mem::take(&mut self.waiting) {
            lines.extend(step.lines);
        }
        let mut lines = self.aloud(lines);
        match result {
            Ok(built) => {
                let id = built.image.to_string();
                if self.quiet {
                    return vec![ProgressLine::stream(format!("{id}\n"))];
                }
                let aux = serde_json::json!({ "ID": id });
                lines.push(ProgressLine { aux: Some(aux), ..ProgressLine::default() });
                let short: String = built.image.0.hex().chars().take(12).collect();
                lines.push(ProgressLine::stream(format!("Successfully built {short}\n")));
                for name in &self.names {
                    lines.push(ProgressLine::stream(format!("Successfully tagged {name}\n")));
                }
            }
            Err(failure) => {
                lines.append(&mut self.unsaid);
                let message = one_line(&failure.fault);
                let error_detail = ErrorDetail {
                    code: failure.code,
                    message: message.clone(),
                    kind: Some(failure.fault.kind().as_str().to_owned()),
                    hint: failure.fault.hint().map(str::to_owned),
                };
                lines.push(ProgressLine {
                    error: Some(message),
                    error_detail: Some(error_detail),
                    ..ProgressLine::default()
                });
            }
        }
        lines
    }
}

/// The line about a container, once.
fn running(place: &mut Place) -> Vec<ProgressLine> {
    if place.form != Form::Run || place.told {
        return Vec::new();
    }
    place.told = true;
    vec![ProgressLine::stream(format!(" ---> Running in {}\n", place.container))]
}

fn form(instruction: &str) -> Form {
    match instruction.split_whitespace().next().unwrap_or_default().to_ascii_uppercase().as_str() {
        "FROM" => Form::From,
        "COPY" | "ADD" => Form::Copy,
        _ => Form::Run,
    }
}

#[cfg(test)]
mod tests;
