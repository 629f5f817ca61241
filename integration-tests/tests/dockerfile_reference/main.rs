//! Every sentence of the Dockerfile reference that promises something of a build, with files that show it: each is built by our
//! daemon, and by the BuildKit inside Debian's dockerd as far as that knows the language; configuration, history, layers, and the
//! tree of files with owners, modes, extended attributes, links and times are compared. Acts: as root, with the built binary.
//!
//! The sentences stand in the modules, each by a name in our words; a test builds all of its chapters and tells of all that is not so.
//! What a builder alone cannot show stands in a test that has what it takes. In the order of the reference:
//!
//! | heading of the reference | sentences, or the test elsewhere | test |
//! | --- | --- | --- |
//! | Overview | the chapters below; `parse/tests` of the crate `dockerfile` for the list of instructions | |
//! | Format | [`language::format`] | `language` |
//! | Parser directives; syntax; escape; check | [`language::directives`]; each check: `check/tests` of the crate `dockerfile` | `language` |
//! | Environment replacement | [`language::replacement`] | `language` |
//! | .dockerignore file | [`ignore::all`]; one per Dockerfile: `build_face`, `the_ignore_file_beside_the_dockerfile_wins` | `copy` |
//! | Shell and exec form; Exec form; Variable substitution; Backslashes; Shell form | [`language::forms`] | `language` |
//! | Use a different shell | [`defaults::rest`] | `what_containers_get` |
//! | FROM; how ARG and FROM interact | [`stages::from`] | `from_arg_and_onbuild` |
//! | FROM --platform of an index; FROM image@digest | `build_cache`, `what_is_only_copied_is_built_for_every_platform` | |
//! | RUN | [`processes::run`] | `run_and_its_mounts` |
//! | Cache invalidation for RUN instructions | [`cache`] | `the_cache` |
//! | RUN --device | refused by name, with what to do instead: [`processes::run`] | `run_and_its_mounts` |
//! | RUN --mount; bind; cache; tmpfs; secret | [`processes::mounts`] | `run_and_its_mounts` |
//! | RUN --mount=type=bind, from a named context | `build_remote`, `a_directory_is_copied_from_mounted_and_started_from` | |
//! | RUN --mount=type=secret, in no layer, history, cache or log | `build_bad_input`, `a_secret_is_in_no_layer_history_cache_or_log` | |
//! | RUN --mount=type=ssh | `build_remote`, `a_step_asks_the_agents_of_whoever_builds` | |
//! | RUN --network; default; none; host; --security | [`processes::run`] | `run_and_its_mounts` |
//! | CMD; ENTRYPOINT; their examples; how CMD and ENTRYPOINT interact | [`defaults::commands`] | `what_containers_get` |
//! | … `--entrypoint`, arguments, PID 1, signals | [`containers`] | `flags_go_over_what_the_image_says`, `containers_are_stopped_as_the_image_says` |
//! | LABEL; MAINTAINER; EXPOSE; ENV | [`defaults::metadata`] | `what_containers_get` |
//! | EXPOSE with `-p` and `-P`; ENV with `--env`; LABEL by `inspect` | [`containers`] | `flags_go_over_what_the_image_says` |
//! | ADD, COPY: Source; from the build context; Pattern matching; Destination | [`files::copy`], [`files::add`] | `copy`, `add` |
//! | … a Dockerfile or an archive from standard input | `build_face`, `a_dockerfile_or_an_archive_comes_from_standard_input` | |
//! | … metadata: extended attributes | [`xattrs`] | `extended_attributes`, `a_context_s_attributes_stay_behind_whoever_sends_it` |
//! | Adding local tar archives | [`files::add`], [`copies::archives`]; bzip2, xz: `build_remote`, `add_unpacks_what_xz_bzip2_and_zstd_packed` | `add` |
//! | Adding files from a URL | `build_remote`, `files`: `a_file_of_the_network_is_as_docker_makes_it` and what follows it | |
//! | … Secrets | `build_remote`, `archives_and_repositories_are_fetched_by_the_daemon`, `what_is_wrong_with_a_repository_is_said` | |
//! | Adding files from a Git repository, modes, fragments, queries | `build_remote`, `repositories`: `a_repository_is_added_as_git_checks_it_out`, `a_query_says_what_of_a_repository_is_meant` | |
//! | … by SSH | `build_remote`, `repositories_come_by_git_s_own_service_and_by_ssh`, `repositories_by_ssh_are_fetched_with_the_agent` | |
//! | ADD --keep-git-dir | `build_remote`, `a_git_directory_is_kept_and_git_can_work_with_it`; refused elsewhere: [`files::add`] | `add` |
//! | ADD --checksum | `build_remote`, `a_checksum_is_kept_and_asks_nobody_when_it_is_known`, `a_branch_is_made_anew_when_it_moved_and_only_then` | |
//! | ADD, COPY --chmod; --chown; --link; --exclude | [`files::copy`], [`files::add`], [`copies::together`] | `copy`, `add` |
//! | ADD --unpack | [`files::add`], [`copies::archives`]; of an address: `build_remote`, `an_archive_is_unpacked_when_that_is_asked_for` | `add` |
//! | COPY, the modes of a repository that is the context | `build_remote`, `a_repository_is_a_context` | |
//! | COPY --from | [`files::copy`]; contexts: `build_remote`, `named` | `copy` |
//! | Benefits of --link | [`cache`] | `the_cache` |
//! | Incompatibilities with --link=false | [`files::copy`] | `copy` |
//! | COPY --parents | [`files::copy`], [`copies::together`] | `copy` |
//! | VOLUME; Notes about specifying volumes; USER; WORKDIR | [`defaults::places`] | `what_containers_get` |
//! | ARG; Default values; Scope; Using ARG variables; Predefined ARGs; Automatic platform ARGs | [`stages::arg`] | `from_arg_and_onbuild` |
//! | BuildKit built-in build args | [`stages::arg`], [`language::directives`] (BUILDKIT_SYNTAX) | `from_arg_and_onbuild`, `language` |
//! | … BUILDKIT_CONTEXT_KEEP_GIT_DIR | `build_remote`, `a_git_directory_is_kept_and_git_can_work_with_it` | |
//! | … what an inline cache is good for | `build_cache`, `a_fresh_daemon_runs_nothing_that_a_cache_has` | |
//! | Impact on build caching | [`cache`] | `the_cache` |
//! | ONBUILD; copy or mount from stage, image, or context; limitations | [`stages::onbuild`] | `from_arg_and_onbuild` |
//! | STOPSIGNAL | [`defaults::rest`], [`containers`] | `what_containers_get`, `containers_are_stopped_as_the_image_says` |
//! | HEALTHCHECK | [`defaults::rest`]; what a container does with it: the suite `health` | `what_containers_get` |
//! | SHELL | [`defaults::rest`] | `what_containers_get` |
//! | Here-Documents; multi-line scripts; inline files | [`language::heredocs`] | `language` |
//!
//! Left out, and why:
//!
//! - All that is said of Windows (paths, `cmd`, users of its own, `--chmod` and `--chown` there): containers are Linux's.
//! - Custom frontends (`# syntax=`, BUILDKIT_SYNTAX): there is one; another one's name is warned of, which is shown.
//! - BUILDKIT_BUILD_NAME, BUILDKIT_MULTI_PLATFORM: there is no history of builds and no second form of results; warned of, which is shown.
//! - `RUN --device` with the names of a CDI file: no step gets a device; refused, which is shown.
//! - What the examples do with the packages of distributions, `nginx`, `apache` or a GPU: `real_builds` has some of the like.
//! - That a base is not even fetched where only `COPY --link` stands on it: it is always here before its stage is built.
//! - `WORKDIR $DIRPATH/$DIRNAME` keeping what is not set: no builder does; [`defaults::places`] shows what they do.

mod attributes;
mod cache;
mod chapter;
mod compare;
mod containers;
mod context;
mod copies;
mod defaults;
mod files;
mod ignore;
mod image;
mod language;
mod processes;
mod sentence;
mod stages;
mod xattrs;

use chapter::check;
use sentence::Sentence;

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
    check(&all(vec![files::copy(), copies::together(), ignore::all()]));
}

#[test]
fn add() {
    check(&all(vec![files::add(), copies::archives()]));
}

#[test]
fn the_cache() {
    cache::check();
}

#[test]
fn extended_attributes() {
    check(&xattrs::all());
}

#[test]
fn a_context_s_attributes_stay_behind_whoever_sends_it() {
    xattrs::whoever_sends();
}

#[test]
fn containers_are_stopped_as_the_image_says() {
    containers::stop();
}

#[test]
fn flags_go_over_what_the_image_says() {
    containers::flags();
}
