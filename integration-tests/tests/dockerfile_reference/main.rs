//! Every sentence of the Dockerfile reference that promises something of a build, with files that show it: each is built by our
//! daemon, and by the BuildKit inside Debian's dockerd as far as that knows the language; configuration, history, layers, and the
//! tree of files with owners, modes, extended attributes, links and times are compared. Acts: as root, with the built binary.
//!
//! The sentences stand in the modules, each by a name in our words; a test builds all of its chapters and tells of all that is not so.
//!
//! | chapter of the reference | sentences | test |
//! | --- | --- | --- |
//! | Format | [`language::format`] | `language` |
//! | Parser directives: syntax, escape, check | [`language::directives`] | `language` |
//! | Environment replacement | [`language::replacement`] | `language` |
//! | .dockerignore file | [`files::copy`], and the crate `dockerfile` | `copy` |
//! | Shell and exec form | [`language::forms`] | `language` |
//! | Here-documents | [`language::heredocs`] | `language` |
//! | FROM, how ARG and FROM interact | [`stages::from`] | `from_arg_and_onbuild` |
//! | ARG: defaults, scope, predefined, platforms, built-in | [`stages::arg`] | `from_arg_and_onbuild` |
//! | ARG: impact on build caching; cache of RUN; COPY --link | [`cache`] | `the_cache` |
//! | ONBUILD, its copies and mounts, its limits | [`stages::onbuild`] | `from_arg_and_onbuild` |
//! | RUN, --network, --security, --device | [`processes::run`] | `run_and_its_mounts` |
//! | RUN --mount: bind, cache, tmpfs, secret, ssh without an agent | [`processes::mounts`] | `run_and_its_mounts` |
//! | CMD, ENTRYPOINT, how they interact | [`defaults::commands`] | `what_containers_get` |
//! | LABEL, MAINTAINER, EXPOSE, ENV | [`defaults::metadata`] | `what_containers_get` |
//! | VOLUME, USER, WORKDIR | [`defaults::places`] | `what_containers_get` |
//! | STOPSIGNAL, HEALTHCHECK, SHELL | [`defaults::rest`] | `what_containers_get` |
//! | COPY: source, patterns, destination, --from, --chmod, --chown, --link, --parents, --exclude | [`files::copy`] | `copy` |
//! | ADD: the same, archives, --unpack, --checksum | [`files::add`] | `add` |
//!
//! Elsewhere: ADD of addresses and repositories and an agent that is there (with what serves them), what a container does with its
//! health check and its stop signal (the engine's tests), which stage is asked for (`build_face`).

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
