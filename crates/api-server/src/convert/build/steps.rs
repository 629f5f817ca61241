//! Pure: a build as the lines that Naru's own client reads.

use super::text::Texts;
use naru_api_types::build::{BuildLine, BuiltImage};
use naru_engine::builds::{BuildEvent, BuildFailure, BuildWarning, Built};

/// The lines of a build.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    texts: Texts,
}

impl Steps {
    /// What is told of an event.
    pub(crate) fn event(&mut self, event: BuildEvent) -> Vec<BuildLine> {
        let line = match event {
            BuildEvent::Planned { vertices } => BuildLine::Planned { vertices: vertices as u64 },
            BuildEvent::VertexStarted { id, name, .. } => {
                BuildLine::Started { vertex: id.into(), name }
            }
            BuildEvent::VertexOutput { id, stderr, bytes } => {
                let text = self.texts.take(id, stderr, &bytes);
                if text.is_empty() {
                    return Vec::new();
                }
                BuildLine::Output { vertex: id.into(), stderr, text }
            }
            BuildEvent::VertexProgress { id, what, current, total } => {
                BuildLine::Progress { vertex: id.into(), what, current, total }
            }
            BuildEvent::VertexDone { id, cached, took, error, .. } => {
                let vertex = u64::from(id);
                let ends = self.texts.end(id).into_iter().filter(|(_, text)| !text.is_empty());
                let mut lines: Vec<BuildLine> =
                    ends.map(|(stderr, text)| BuildLine::Output { vertex, stderr, text }).collect();
                let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                lines.push(BuildLine::Done { vertex, cached, took, error });
                return lines;
            }
            BuildEvent::Warning(warning) => warned(warning),
            BuildEvent::Tagged(reference) => BuildLine::Tagged { name: reference.familiar() },
        };
        vec![line]
    }

    /// How it ended.
    pub(crate) fn end(result: &Result<Built, BuildFailure>) -> BuildLine {
        match result {
            Ok(built) => BuildLine::Built(BuiltImage {
                id: built.image.to_string(),
                digest: built.target.digest.to_string(),
                size: built.target.size,
                media_type: built.target.media_type.to_string(),
                unpacked: built.size,
                is_new: built.is_new,
                all_cached: built.all_cached,
                cache: built.cache.as_ref().map(|root| root.digest.to_string()),
            }),
            Err(failure) => match BuildLine::failed(&failure.fault) {
                BuildLine::Failed(mut detail) => {
                    detail.code = failure.code;
                    BuildLine::Failed(detail)
                }
                other => other,
            },
        }
    }
}

fn warned(warning: BuildWarning) -> BuildLine {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let place = match warning.line {
        0 => some(warning.file),
        line => Some(format!("{}:{line}", warning.file)),
    };
    BuildLine::Warning { message: warning.message, place, check: some(warning.rule) }
}
