//! One sentence of the reference: files that show it, what must come of them, and how all of a chapter are built and compared.
//! Acts: builds by our daemon and by the BuildKit inside Debian's dockerd, side by side.

use crate::image::{self, Image};
use integration_tests::peer_docker::PeerDocker;
use integration_tests::{Daemon, Done, run, run_with_input};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time of everything in a context.
const CONTEXT_TIME: u64 = 1_600_000_000;

/// What is put into a context.
enum Item {
    File(Vec<u8>, u32),
    Directory(u32),
    Link(String),
}

/// What must be seen.
enum Want {
    Default(&'static str, Value),
    Holds(&'static str, String),
    Lacks(&'static str),
    History(Vec<String>),
    Author(&'static str),
    Runs(Vec<&'static str>, &'static str),
    Says(&'static str),
    Layers(usize),
    Time(&'static str, u64),
}

/// What the peer does with it.
enum Peer {
    /// The same: it is compared.
    Same,
    /// The same but for these paths, or keys of the configuration, or `history`; with the reason.
    But(Vec<&'static str>),
    /// It is too old to know the language.
    TooOld,
}

/// A sentence.
pub struct Sentence {
    name: &'static str,
    file: String,
    before: Vec<String>,
    context: Vec<(&'static str, Item)>,
    flags: Vec<&'static str>,
    wants: Vec<Want>,
    fails: Option<&'static str>,
    peer: Peer,
}

/// A sentence, and a Dockerfile that shows it. `box` is an image with busybox.
pub fn says(name: &'static str, file: &str) -> Sentence {
    Sentence {
        name,
        file: file.to_owned(),
        before: Vec::new(),
        context: Vec::new(),
        flags: Vec::new(),
        wants: Vec::new(),
        fails: None,
        peer: Peer::Same,
    }
}

impl Sentence {
    /// An image that is built first, by this Dockerfile from the same context; the next ones call it `BEFORE`.
    pub fn after(mut self, file: &str) -> Sentence {
        self.before.push(file.to_owned());
        self
    }

    /// A file of the context.
    pub fn with(self, path: &'static str, content: &str) -> Sentence {
        self.with_mode(path, content.as_bytes(), 0o644)
    }

    /// A file of the context with a mode.
    pub fn with_mode(mut self, path: &'static str, content: &[u8], mode: u32) -> Sentence {
        self.context.push((path, Item::File(content.to_vec(), mode)));
        self
    }

    /// A directory of the context with a mode.
    pub fn with_dir(mut self, path: &'static str, mode: u32) -> Sentence {
        self.context.push((path, Item::Directory(mode)));
        self
    }

    /// A symbolic link of the context.
    pub fn with_link(mut self, path: &'static str, target: &str) -> Sentence {
        self.context.push((path, Item::Link(target.to_owned())));
        self
    }

    /// Flags of the build.
    pub fn flags(mut self, flags: &[&'static str]) -> Sentence {
        self.flags.extend(flags);
        self
    }

    fn want(mut self, want: Want) -> Sentence {
        self.wants.push(want);
        self
    }

    /// What containers get (`Env`, `Cmd`).
    pub fn default(self, key: &'static str, value: Value) -> Sentence {
        self.want(Want::Default(key, value))
    }

    /// A file of the result: `644 0:0 "text"`; all that is said must be there, in order from the start.
    pub fn holds(self, path: &'static str, node: &str) -> Sentence {
        self.want(Want::Holds(path, node.to_owned()))
    }

    /// A file with mode 644 of root.
    pub fn file(self, path: &'static str, content: &str) -> Sentence {
        self.holds(path, &format!("644 0:0 {content:?}"))
    }

    /// A path that must not be there.
    pub fn lacks(self, path: &'static str) -> Sentence {
        self.want(Want::Lacks(path))
    }

    /// The last lines of the history.
    pub fn history(self, lines: &[&str]) -> Sentence {
        self.want(Want::History(lines.iter().map(|line| (*line).to_owned()).collect()))
    }

    /// The author.
    pub fn author(self, name: &'static str) -> Sentence {
        self.want(Want::Author(name))
    }

    /// What a container with these arguments prints.
    pub fn runs(self, args: &[&'static str], output: &'static str) -> Sentence {
        self.want(Want::Runs(args.to_vec(), output))
    }

    /// What the build shows.
    pub fn shows(self, text: &'static str) -> Sentence {
        self.want(Want::Says(text))
    }

    /// How many layers there are above the base.
    pub fn layers(self, count: usize) -> Sentence {
        self.want(Want::Layers(count))
    }

    /// The time of a file.
    pub fn time(self, path: &'static str, seconds: u64) -> Sentence {
        self.want(Want::Time(path, seconds))
    }

    /// The time of a file is the one that it has in the context.
    pub fn time_of_context(self, path: &'static str) -> Sentence {
        self.time(path, CONTEXT_TIME)
    }

    /// It cannot be built, and this is said.
    pub fn fails(mut self, text: &'static str) -> Sentence {
        self.fails = Some(text);
        self
    }

    /// The peer's BuildKit (0.8, syntax 1.2) does not know this yet.
    pub fn newer(mut self) -> Sentence {
        self.peer = Peer::TooOld;
        self
    }

    /// The peer does otherwise in these, for a reason that stands beside the sentence.
    pub fn but(mut self, parts: &[&'static str]) -> Sentence {
        self.peer = Peer::But(parts.to_vec());
        self
    }

    fn write(&self, dir: &Path, file: &str) {
        let time = UNIX_EPOCH + Duration::from_secs(CONTEXT_TIME);
        let stamp = |path: &Path| {
            std::fs::File::open(path).expect("a file").set_modified(time).expect("a time");
        };
        std::fs::create_dir_all(dir).expect("a directory");
        for (path, item) in &self.context {
            let path = dir.join(path);
            std::fs::create_dir_all(path.parent().expect("below")).expect("a directory");
            let mode = match item {
                Item::File(content, mode) => {
                    std::fs::write(&path, content).expect("a file");
                    Some(mode)
                }
                Item::Directory(mode) => {
                    std::fs::create_dir_all(&path).expect("a directory");
                    Some(mode)
                }
                Item::Link(target) => {
                    // What an earlier build of the sentence has put there.
                    std::fs::remove_file(&path).ok();
                    std::os::unix::fs::symlink(target, &path).expect("a link");
                    None
                }
            };
            if let Some(mode) = mode {
                let permissions = std::fs::Permissions::from_mode(*mode);
                std::fs::set_permissions(&path, permissions).expect("a mode");
                stamp(&path);
            }
        }
        std::fs::write(dir.join("Dockerfile"), file).expect("a file");
        for (path, _) in self.context.iter().rev() {
            for above in Path::new(path).ancestors().skip(1) {
                stamp(&dir.join(above));
            }
        }
    }

    /// Builds it with what comes before; answers the last build.
    fn build(&self, dir: &Path, tag: &str, build: &dyn Fn(&[&str], &Path) -> Done) -> Done {
        let mut before = String::from("box");
        for (number, file) in self.before.iter().enumerate() {
            self.write(dir, &file.replace("BEFORE", &before));
            before = format!("{tag}-{number}");
            let done = build(&["-t", &before], dir);
            if done.code != 0 {
                return done;
            }
        }
        self.write(dir, &self.file.replace("BEFORE", &before));
        let mut words = vec!["-t", tag];
        words.extend(&self.flags);
        build(&words, dir)
    }
}

/// What came of a chapter at one builder.
struct Built {
    done: Vec<Done>,
    images: BTreeMap<String, Image>,
}

fn tag(number: usize) -> String {
    format!("s{number}")
}

/// Builds every sentence of a chapter and compares what came of them. All that is not as promised is told at the end.
#[track_caller]
pub fn check(sentences: &[Sentence]) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs() - 600;
    let daemon = Daemon::start().with_busybox("box");
    let ours = dirs(daemon.dir(), "ours");
    let theirs = dirs(daemon.dir(), "theirs");
    let (ours, theirs) = std::thread::scope(|scope| {
        let compared = sentences.iter().any(|sentence| !matches!(sentence.peer, Peer::TooOld));
        let theirs = scope.spawn(move || compared.then(|| by_docker(sentences, &theirs, since)));
        (by_us(&daemon, sentences, &ours, since), theirs.join().expect("the peer"))
    });
    let mut report = String::new();
    let mut names = BTreeSet::new();
    for (number, sentence) in sentences.iter().enumerate() {
        assert!(names.insert(sentence.name), "`{}` is there twice", sentence.name);
        let mut bad = shortfalls(&daemon, sentence, number, &ours);
        if let Some(theirs) = &theirs {
            bad.extend(differences(sentence, number, &ours, theirs));
        }
        if !bad.is_empty() {
            let _ok = writeln!(
                report,
                "== {}\n{}\n   {}",
                sentence.name,
                sentence.file,
                bad.join("\n   ")
            );
        }
    }
    assert!(report.is_empty(), "{report}");
}

fn dirs(below: &Path, name: &str) -> PathBuf {
    below.join(name)
}

fn by_us(daemon: &Daemon, sentences: &[Sentence], place: &Path, since: u64) -> Built {
    let build = |words: &[&str], dir: &Path| {
        let mut command = daemon.command(&["build", "--network", "none", "--progress", "plain"]);
        command.args(words).arg(".").current_dir(dir);
        run(command.env("XDG_CACHE_HOME", place.join("cache")))
    };
    let done: Vec<Done> = sentences
        .iter()
        .enumerate()
        .map(|(number, sentence)| {
            let tag = tag(number);
            sentence.build(&place.join(&tag), &tag, &build)
        })
        .collect();
    let archive = place.join("all.tar");
    let images = saved(&done, |tags| {
        let mut command = daemon.command(&["save", "-o"]);
        command.arg(&archive).args(tags);
        run(&mut command).ok();
        image::read(&std::fs::read(&archive).expect("an archive"), since)
    });
    Built { done, images }
}

fn by_docker(sentences: &[Sentence], place: &Path, since: u64) -> Built {
    let docker = PeerDocker::apart();
    let mut import = docker.command(&["import", "-c", "CMD [\"sh\"]", "-", "box"]);
    run_with_input(&mut import, &integration_tests::image::busybox_tar()).ok();
    let build = |words: &[&str], dir: &Path| {
        run(docker.build(&["--network", "none"]).args(words).arg(".").current_dir(dir))
    };
    let done: Vec<Done> = sentences
        .iter()
        .enumerate()
        .map(|(number, sentence)| {
            let tag = tag(number);
            match sentence.peer {
                Peer::TooOld => Done { code: -1, stdout: String::new(), stderr: String::new() },
                Peer::Same | Peer::But(_) => sentence.build(&place.join(&tag), &tag, &build),
            }
        })
        .collect();
    let archive = place.join("all.tar");
    let images = saved(&done, |tags| {
        let mut command = docker.command(&["save", "-o"]);
        command.arg(&archive).args(tags);
        run(&mut command).ok();
        image::read(&std::fs::read(&archive).expect("an archive"), since)
    });
    Built { done, images }
}

/// The images of builds that succeeded.
fn saved(
    done: &[Done],
    save: impl FnOnce(&[String]) -> BTreeMap<String, Image>,
) -> BTreeMap<String, Image> {
    let good = done.iter().enumerate().filter(|(_, done)| done.code == 0);
    let tags: Vec<String> = good.map(|(number, _)| tag(number)).collect();
    if tags.is_empty() { BTreeMap::new() } else { save(&tags) }
}

fn image_of(built: &Built, number: usize) -> Option<&Image> {
    built.images.get(&format!("{}:latest", tag(number)))
}

/// What of a sentence is not so in our image.
fn shortfalls(daemon: &Daemon, sentence: &Sentence, number: usize, ours: &Built) -> Vec<String> {
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
            Want::Layers(count) => {
                let base = usize::from(image.tree.contains_key("bin/busybox"));
                expect("layers", (image.layers - base).to_string(), count.to_string());
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
fn differences(sentence: &Sentence, number: usize, ours: &Built, theirs: &Built) -> Vec<String> {
    let left_out: &[&str] = match &sentence.peer {
        Peer::TooOld => return Vec::new(),
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
    // The base was imported by each in its own words.
    let own = |image: &Image| {
        let from_box = usize::from(image.tree.contains_key("bin/busybox"));
        format!("{:#?}", &image::history(image)[from_box..])
    };
    compare("history", Some(own(our)), Some(own(their)));
    compare("layers", Some(our.layers.to_string()), Some(their.layers.to_string()));
    for path in our.tree.keys().chain(their.tree.keys()).collect::<BTreeSet<_>>() {
        let text = |image: &Image| {
            let node = image.tree.get(path)?;
            Some(format!("{node} at {:?}", node.modified()))
        };
        let (mine, yours) = (text(our), text(their));
        if our.tree.get(path) != their.tree.get(path) {
            compare(path, mine, yours);
        }
    }
    bad
}
