//! Every sentence of the Dockerfile reference that promises something of a build, with files that show it: each is built by our
//! daemon, and by the BuildKit inside Debian's dockerd as far as that knows the language; configuration, history, layers, and the
//! tree of files with owners, modes, extended attributes, links and times are compared. Acts: as root, with the built binary.

mod cache;
mod defaults;
mod files;
mod image;
mod language;
mod processes;
mod sentence;
mod stages;

use sentence::{Sentence, check};

fn all(chapters: Vec<Vec<Sentence>>) -> Vec<Sentence> {
    chapters.into_iter().flatten().collect()
}

#[test]
fn language() {
    use language::{directives, format, forms, heredocs, replacement};
    check(&all(vec![format(), directives(), replacement(), forms(), heredocs()]));
}

#[test]
fn from_arg_and_onbuild() {
    check(&all(vec![stages::from(), stages::arg(), stages::onbuild()]));
}

#[test]
fn run_and_its_mounts() {
    check(&all(vec![processes::run(), processes::mounts()]));
}

#[test]
fn what_containers_get() {
    use defaults::{commands, metadata, places, rest};
    check(&all(vec![commands(), metadata(), places(), rest()]));
}

#[test]
fn copy() {
    check(&files::copy());
}

#[test]
fn add() {
    check(&files::add());
}

#[test]
fn the_cache() {
    cache::check();
}
