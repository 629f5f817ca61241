//! How all sentences of a chapter are built and compared. Acts: builds by our daemon and by the BuildKit inside Debian's dockerd,
//! side by side.

use crate::compare::{differences, shortfalls};
use crate::context;
use crate::image::{self, Image};
use crate::sentence::{Peer, Sentence};
use integration_tests::peer_docker::PeerDocker;
use integration_tests::{Daemon, Done, run, run_with_input};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What came of a chapter at one builder.
pub struct Built {
    pub done: Vec<Done>,
    pub images: BTreeMap<String, Image>,
}

pub fn tag(number: usize) -> String {
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
        let compared = sentences.iter().any(|sentence| !matches!(sentence.peer, Peer::None));
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
            self::build(sentence, &place.join(&tag), &tag, &build)
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
        let words = [&["--network", "none"], words].concat();
        run(&mut docker.build(dir, &words, "."))
    };
    let done: Vec<Done> = sentences
        .iter()
        .enumerate()
        .map(|(number, sentence)| {
            let tag = tag(number);
            match sentence.peer {
                Peer::None => Done { code: -1, stdout: String::new(), stderr: String::new() },
                Peer::Same | Peer::But(_) => self::build(sentence, &place.join(&tag), &tag, &build),
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

pub fn image_of(built: &Built, number: usize) -> Option<&Image> {
    built.images.get(&format!("{}:latest", tag(number)))
}

/// Builds a sentence with what comes before; answers the last build.
fn build(
    sentence: &Sentence,
    dir: &Path,
    tag: &str,
    build: &dyn Fn(&[&str], &Path) -> Done,
) -> Done {
    let mut before = String::from("box");
    for (number, file) in sentence.before.iter().enumerate() {
        context::write(&sentence.context, dir, &file.replace("BEFORE", &before));
        before = format!("{tag}-{number}");
        let done = build(&["-t", &before], dir);
        if done.code != 0 {
            return done;
        }
    }
    context::write(&sentence.context, dir, &sentence.file.replace("BEFORE", &before));
    let mut words = vec!["-t", tag];
    words.extend(&sentence.flags);
    build(&words, dir)
}
