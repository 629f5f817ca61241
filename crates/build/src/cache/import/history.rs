//! Acts: images that carry no keys, by what their history says, as docker's classic builder does it.
//!
//! ```text
//! FROM ─▶ history and layers of the base are how the image begins? ─▶ the stage follows it
//! step ─▶ its next line says the same? ─▶ its layer is offered ─▶ taken, or another one is found or made
//!                                                                  └▶ the very layer of the image: followed on; else: left
//! ```
//!
//! A line says the same of a `RUN` (the shell, the words, the build arguments) and of a `WORKDIR`. Of a `COPY` it does where docker's
//! classic builder wrote it, with a sum of what was copied; BuildKit's lines name paths alone, and nothing is taken by them.

use super::{Imported, NOTHING, Source};
use crate::build::Shared;
use crate::cache::list::Entry;
use crate::key::KeyMaker;
use crate::stage::Stage;
use naru_errdefs::Fault;
use naru_oci::{Config, Manifest};
use naru_store::CachedStep;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Instructions that no file depends on: what they say may differ.
const INERT: [&str; 9] = [
    "ARG",
    "CMD",
    "ENTRYPOINT",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "STOPSIGNAL",
];

/// What came of the images of one cache.
#[derive(Debug, Default)]
pub(super) struct Use {
    /// Whether any stage begins as one of them does.
    begun: AtomicBool,
    /// Layers that became part of a stage.
    layers: AtomicU32,
    /// Why it was left; and whether that is told though layers were taken before.
    left: Mutex<Option<(String, bool)>>,
}

/// An image whose history a stage has followed so far.
#[derive(Debug, Clone)]
pub(crate) struct Follow {
    source: usize,
    image: usize,
    /// The line that comes next.
    line: usize,
    /// The layer that comes next.
    layer: usize,
}

/// Pure: a line of a history without what builders put around it.
fn plain(line: &str) -> &str {
    if let Some(line) = line.strip_suffix(" # buildkit") {
        return line.strip_prefix("RUN ").unwrap_or(line);
    }
    line.split_once("#(nop) ").map_or(line, |(_, said)| said).trim()
}

/// Pure: what the histories of both builders may say of a RUN: `args` are those that it sees, `ours` is our own line.
pub(crate) fn run_texts(args: &[String], command: &[String], ours: &str) -> Vec<String> {
    let mut args = args.to_vec();
    args.sort();
    let mut words = Vec::new();
    if !args.is_empty() {
        words.push(format!("|{}", args.len()));
        words.append(&mut args);
    }
    words.extend(command.iter().cloned());
    vec![plain(ours).to_owned(), words.join(" ")]
}

fn keyword(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn says(line: &naru_oci::History) -> &str {
    line.created_by.as_deref().unwrap_or_default()
}

/// Pure: whether a stage begins as an image does, with lines of it left.
fn begins(config: &Config, manifest: &Manifest, stage: &Stage) -> bool {
    let (begun, all) = (&stage.config.history, &config.history);
    let (below, layers) = (&stage.config.rootfs.diff_ids, &config.rootfs.diff_ids);
    let is_same = |(one, other): (&naru_oci::History, &naru_oci::History)| {
        (&one.created, &one.created_by, one.empty_layer)
            == (&other.created, &other.created_by, other.empty_layer)
    };
    let made = |lines: &[naru_oci::History]| lines.iter().filter(|line| !line.empty_layer).count();
    made(all) == layers.len()
        && manifest.layers.len() == layers.len()
        && made(begun) == below.len()
        && all.len() > begun.len()
        && begun.iter().zip(all).all(is_same)
        && layers.starts_with(below)
        && config.platform() == stage.config.platform()
}

impl Imported {
    fn image(&self, follow: &Follow) -> Option<(&Source, &Config, &Manifest)> {
        let source = self.sources().get(follow.source)?;
        let (config, manifest) = source.known.images.get(follow.image)?;
        Some((source, config, manifest))
    }

    /// The images that begin as a stage does, of all caches that a build names.
    pub(crate) fn follow(&self, stage: &Stage) -> Vec<Follow> {
        let mut list = Vec::new();
        for (number, source) in self.sources().iter().enumerate() {
            for (image, (config, manifest)) in source.known.images.iter().enumerate() {
                if begins(config, manifest, stage) {
                    source.used.begun.store(true, Ordering::Relaxed);
                    let line = stage.config.history.len();
                    let layer = stage.config.rootfs.diff_ids.len();
                    list.push(Follow { source: number, image, line, layer });
                }
            }
        }
        list
    }

    /// The layer that an image has where its next line is one of these texts.
    pub(crate) fn offer(
        &self,
        shared: &Shared,
        stage: &Stage,
        texts: &[String],
    ) -> Result<Option<CachedStep>, Fault> {
        for follow in &stage.follows {
            let Some((source, config, manifest)) = self.image(follow) else { continue };
            let has_keys = !source.known.entries.is_empty();
            if has_keys || source.belief.load(Ordering::Relaxed) == NOTHING {
                continue;
            }
            let Some(line) = config.history.get(follow.line) else { continue };
            if !texts.iter().any(|text| text == plain(says(line))) {
                continue;
            }
            let mut key = KeyMaker::new("history", stage.chain);
            key.text(says(line));
            let diff_id = config.rootfs.diff_ids.get(follow.layer).filter(|_| !line.empty_layer);
            let entry = Entry {
                diff_id: diff_id.copied(),
                layer: None,
                size: 0,
                created: line.created.as_deref().map_or(0, crate::assemble::seconds),
                content_key: None,
            };
            let blob = manifest.layers.get(follow.layer);
            let key = key.finish();
            let found = self.take(shared, follow.source, stage.chain, (&key, &entry), blob)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Whether an image that a stage follows goes on with a COPY of the classic builder to a place. Only then is it worth summing
    /// up what is copied.
    pub(crate) fn has_sum(&self, stage: &Stage, before: &str, after: &str) -> bool {
        stage.follows.iter().any(|follow| {
            let line = self.image(follow).and_then(|image| image.1.history.get(follow.line));
            let said = line.map(|line| plain(says(line)));
            said.is_some_and(|said| said.starts_with(before) && said.ends_with(after))
        })
    }

    /// Whether what was found is what an image has at that place.
    pub(crate) fn allows(&self, stage: &Stage, found: &CachedStep) -> bool {
        stage.follows.iter().any(|follow| {
            let Some((_, config, _)) = self.image(follow) else { return false };
            let Some(line) = config.history.get(follow.line) else { return false };
            match &found.layer {
                None => line.empty_layer,
                Some(layer) => {
                    let there = config.rootfs.diff_ids.get(follow.layer);
                    !line.empty_layer && there == Some(&layer.diff_id)
                }
            }
        })
    }

    /// Goes on after a step, with the images that went the same way. `before` counts the lines and layers from before it. Answers
    /// whether one of them says the very same.
    pub(crate) fn advance(&self, stage: &mut Stage, before: (usize, usize)) -> bool {
        let ours = stage.config.history.get(before.0).map(|line| plain(says(line)));
        let made = stage.config.rootfs.diff_ids.get(before.1);
        let mut is_same = false;
        stage.follows.retain_mut(|follow| {
            let Some((source, config, _)) = self.image(follow) else { return false };
            let Some(line) = config.history.get(follow.line) else { return false };
            let said = plain(says(line));
            let Some(ours) = ours else {
                // Only docker's classic builder notes what is to be done later.
                follow.line += usize::from(said.starts_with("ONBUILD "));
                return true;
            };
            let there = config.rootfs.diff_ids.get(follow.layer).filter(|_| !line.empty_layer);
            let goes_on = made == there
                && (made.is_some()
                    || said == ours
                    || keyword(said) == keyword(ours) && INERT.contains(&keyword(said)));
            // Builders show values of arguments, ports and checks of health each in its way.
            let is_shown_otherwise = matches!(keyword(said), "ARG" | "EXPOSE" | "HEALTHCHECK");
            is_same |= goes_on && (made.is_some() || said == ours || is_shown_otherwise);
            if goes_on {
                follow.line += 1;
                follow.layer += usize::from(made.is_some());
                source.used.layers.fetch_add(u32::from(made.is_some()), Ordering::Relaxed);
                return true;
            }
            let short = |text: &str| text.chars().take(80).collect::<String>();
            let (is_blind, why) = match keyword(said) {
                _ if said != ours => (
                    false,
                    format!("goes on with `{}`, and the build with `{}`", short(said), short(ours)),
                ),
                "COPY" | "ADD" => (
                    true,
                    format!(
                        "has `{}` from BuildKit, which does not say what was copied",
                        short(said)
                    ),
                ),
                _ => (false, format!("does not tell all that `{}` depends on", short(said))),
            };
            let mut left = source.used.left.lock().unwrap_or_else(PoisonError::into_inner);
            left.get_or_insert((why, is_blind));
            false
        });
        is_same
    }

    /// Warns of images without keys that gave nothing to a build that had to make something.
    pub(crate) async fn conclude(&self, shared: &Shared) {
        for source in self.sources() {
            if !source.known.entries.is_empty() || source.known.images.is_empty() {
                continue;
            }
            let taken = source.used.layers.load(Ordering::Relaxed) > 0;
            let left = source.used.left.lock().unwrap_or_else(PoisonError::into_inner).take();
            let why = match left {
                Some((_, false)) if taken => continue,
                Some((why, _)) => why,
                None if source.used.begun.load(Ordering::Relaxed) => continue,
                None => "does not begin with the base of a stage, or leaves layers out".to_owned(),
            };
            let more = if taken { "nothing more" } else { "nothing" };
            let text = format!(
                "{more} is taken from the image `{}`, which carries no keys of this cache: its history {why}; write them with `--cache-to type=inline`",
                source.known.name
            );
            shared.warn("", text, 0).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_builders_say_the_same() {
        for (line, want) in [
            ("/bin/sh -c #(nop)  ENV A=b", "ENV A=b"),
            ("ENV A=b", "ENV A=b"),
            ("/bin/sh -c #(nop) WORKDIR /app", "WORKDIR /app"),
            ("/bin/sh -c #(nop) COPY file:00 in /a ", "COPY file:00 in /a"),
            ("COPY a /a # buildkit", "COPY a /a"),
            ("RUN /bin/sh -c make # buildkit", "/bin/sh -c make"),
            ("/bin/sh -c make", "/bin/sh -c make"),
        ] {
            assert_eq!(plain(line), want, "{line}");
        }
    }

    #[test]
    fn arguments_of_a_run_are_sorted_in_docker_s_lines() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let texts = run_texts(
            &words(&["b=2", "a=1"]),
            &words(&["sh", "-c", "x"]),
            "RUN |2 b=2 a=1 sh -c x # buildkit",
        );
        assert_eq!(texts, ["|2 b=2 a=1 sh -c x", "|2 a=1 b=2 sh -c x"]);
        assert_eq!(run_texts(&[], &words(&["x"]), "RUN x # buildkit"), ["x", "x"]);
    }
}
