//! What is not as a sentence says, and what is otherwise at the peer. Acts: runs containers of what was built.

use crate::chapter::{Built, image_of, tag};
use crate::image::{self, Image};
use crate::sentence::{Peer, Sentence, Want};
use integration_tests::Daemon;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What of a sentence is not so in our image.
pub fn shortfalls(
    daemon: &Daemon,
    sentence: &Sentence,
    number: usize,
    ours: &Built,
) -> Vec<String> {
    let done = &ours.done[number];
    let said = format!("{}{}", done.stdout, done.stderr);
    match (sentence.fails, done.code) {
        (Some(text), code) => {
            let good = code != 0 && said.contains(text);
            return if good {
                Vec::new()
            } else {
                vec![format!("should fail with `{text}`: {done:?}")]
            };
        }
        (None, 0) => {}
        (None, _) => return vec![format!("is not built: {said}")],
    }
    let Some(image) = image_of(ours, number) else { return vec!["was not saved".to_owned()] };
    let defaults = image::defaults(image);
    let mut bad = Vec::new();
    let mut expect = |what: &str, found: String, wanted: String| {
        if found != wanted {
            bad.push(format!("{what}: {found}, should be {wanted}"));
        }
    };
    for want in &sentence.wants {
        match want {
            Want::Default(key, value) => {
                let found = defaults.get(*key).cloned().unwrap_or(json!(null));
                expect(key, found.to_string(), value.to_string());
            }
            Want::Holds(path, node) => {
                let found = image.tree.get(*path).map_or("nothing".to_owned(), ToString::to_string);
                let part: String = found.chars().take(node.chars().count()).collect();
                expect(path, if part == *node { part } else { found }, node.clone());
            }
            Want::Is(path, node) => {
                let found = image.tree.get(*path).map_or("nothing".to_owned(), ToString::to_string);
                expect(path, found, node.clone());
            }
            Want::Lacks(path) => {
                let found = image.tree.get(*path).map_or("nothing".to_owned(), ToString::to_string);
                expect(path, found, "nothing".to_owned());
            }
            Want::History(lines) => {
                let all = image::history(image);
                let last = &all[all.len().saturating_sub(lines.len())..];
                expect("history", format!("{last:?}"), format!("{lines:?}"));
            }
            Want::Author(name) => {
                expect("author", image.config["author"].to_string(), json!(name).to_string());
            }
            Want::Runs(args, output) => {
                let tag = tag(number);
                let mut words = vec!["run", "--rm", "--network", "none", &tag];
                words.extend(args);
                let done = daemon.naru(&words);
                expect(
                    "a container says",
                    format!("{}{}", done.stdout, done.stderr),
                    (*output).to_owned(),
                );
            }
            Want::Says(text) => {
                let found = if said.contains(text) { *text } else { &said };
                expect("the build says", found.to_owned(), (*text).to_owned());
            }
            Want::Silent(text) => {
                let found = if said.contains(text) { &said } else { "" };
                expect("the build says", found.to_owned(), String::new());
            }
            Want::Layers(count) => {
                let base = usize::from(image.tree.contains_key("bin/busybox"));
                expect("layers", (image.layers - base).to_string(), count.to_string());
            }
            Want::Member(name, is_there) => {
                let found = !image.config[*name].is_null();
                expect(name, found.to_string(), is_there.to_string());
            }
            Want::Created(when) => {
                let last = image.config["history"].as_array().and_then(|lines| lines.last());
                let lines = [&image.config["created"], &last.unwrap_or(&Value::Null)["created"]];
                expect("created", format!("{lines:?}"), format!("{:?}", [&json!(when); 2]));
            }
            Want::Time(path, seconds) => {
                let found = image.tree.get(*path).and_then(image::Node::modified);
                expect(path, format!("time {found:?}"), format!("time {:?}", Some(*seconds)));
            }
        }
    }
    bad
}

/// What is otherwise in the peer's image.
pub fn differences(
    sentence: &Sentence,
    number: usize,
    ours: &Built,
    theirs: &Built,
) -> Vec<String> {
    let left_out: &[&str] = match &sentence.peer {
        Peer::None => return Vec::new(),
        Peer::Same => &[],
        Peer::But(parts) => parts,
    };
    let done = &theirs.done[number];
    match (sentence.fails, done.code) {
        (Some(_), 0) if !left_out.contains(&"fails") => {
            return vec!["the peer builds what fails here".to_owned()];
        }
        (Some(_), _) => return Vec::new(),
        (None, 0) => {}
        (None, _) if left_out.contains(&"fails") => return Vec::new(),
        (None, _) => {
            return vec![format!("the peer does not build it: {}{}", done.stdout, done.stderr)];
        }
    }
    let (Some(our), Some(their)) = (image_of(ours, number), image_of(theirs, number)) else {
        return Vec::new();
    };
    let mut bad = Vec::new();
    let mut compare = |what: &str, our: Option<String>, their: Option<String>| {
        let skipped = left_out.iter().any(|part| {
            *part == what || what.strip_prefix(part).is_some_and(|rest| rest.starts_with('/'))
        });
        if our != their && !skipped {
            let shown = |text: Option<String>| text.unwrap_or_else(|| "nothing".to_owned());
            bad.push(format!("{what}: {}; docker has {}", shown(our), shown(their)));
        }
    };
    let (mine, yours) = (image::defaults(our), image::defaults(their));
    for key in mine.keys().chain(yours.keys()).collect::<BTreeSet<_>>() {
        let text = |map: &serde_json::Map<String, Value>| map.get(key).map(Value::to_string);
        compare(key, text(&mine), text(&yours));
    }
    // The base was imported by each in its own words. The peer wrote into the history of ARG, COPY and ADD less than later
    // BuildKits do: the value given, and flags.
    let own = |image: &Image| {
        let from_box = usize::from(image.tree.contains_key("bin/busybox"));
        let lines = image::history(image).into_iter().skip(from_box);
        let lines: Vec<String> = lines
            .map(|line| match line.split_once('=') {
                Some((start, _)) if start.starts_with("(no layer) ARG ") => start.to_owned(),
                _ if line.starts_with("COPY ") || line.starts_with("ADD ") => {
                    let words = line.split(' ').filter(|word| !word.starts_with("--ch"));
                    words.collect::<Vec<_>>().join(" ")
                }
                _ => line,
            })
            .collect();
        format!("{lines:#?}")
    };
    compare("history", Some(own(our)), Some(own(their)));
    compare("layers", Some(our.layers.to_string()), Some(their.layers.to_string()));
    let has_mounts = sentence.file.contains("--mount");
    for path in our.tree.keys().chain(their.tree.keys()).collect::<BTreeSet<_>>() {
        let (mine, yours) = (our.tree.get(path), their.tree.get(path));
        let is_same = match (mine, yours) {
            // Its layers say nothing of the root.
            _ if path.is_empty() => true,
            // It leaves the places of mounts behind; later BuildKits do not.
            (None, Some(yours)) => has_mounts && yours.is_place_of_mount(),
            (Some(mine), Some(yours)) => mine.is_like(yours),
            _ => false,
        };
        if !is_same {
            let text = |node: &image::Node| format!("{node} at {:?}", node.modified());
            compare(path, mine.map(text), yours.map(text));
        }
    }
    bad
}
