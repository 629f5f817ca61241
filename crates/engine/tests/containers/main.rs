//! The engine with real containers of a tiny image: real store, real monitor, real kernel. Acts; needs root.
//!
//! This program has several roles, as the product has: it is the test runner, the monitor (`monitor …`), and a daemon that
//! is killed (`daemon …`). So it has a main of its own that speaks as much of the test runner's language as is needed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "without the standard harness the lints do not see that this is a test"
)]

mod build_kills;
mod build_steps;
mod builds;
mod copy;
mod house;
mod kills;
mod lifecycle;
mod mounts;
mod networks;
mod refusals;
mod streams;
mod volume_kills;
mod volumes;

use std::process::ExitCode;

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    (
        "a_daemon_killed_in_a_build_goes_on_from_the_last_vertex",
        build_kills::a_daemon_killed_in_a_build_goes_on_from_the_last_vertex,
    ),
    ("a_process_keeps_to_its_limits", build_steps::a_process_keeps_to_its_limits),
    ("what_cannot_be_done_is_refused_by_name", builds::what_cannot_be_done_is_refused_by_name),
    ("files_are_copied_as_docker_copies_them", build_steps::files_are_copied_as_docker_copies_them),
    (
        "mounts_of_a_process_leave_nothing_in_the_image",
        build_steps::mounts_of_a_process_leave_nothing_in_the_image,
    ),
    ("processes_see_what_the_file_says", build_steps::processes_see_what_the_file_says),
    (
        "triggers_are_carried_out_by_whoever_builds_on_it",
        builds::triggers_are_carried_out_by_whoever_builds_on_it,
    ),
    ("the_same_input_gives_the_same_digests", builds::the_same_input_gives_the_same_digests),
    ("the_cache_is_shown_and_pruned", builds::the_cache_is_shown_and_pruned),
    ("archives_are_added_unpacked", build_steps::archives_are_added_unpacked),
    ("fifty_small_steps_take_no_time", build_steps::fifty_small_steps_take_no_time),
    ("an_image_is_built_and_runs", builds::an_image_is_built_and_runs),
    ("a_process_that_fails_fails_the_build", builds::a_process_that_fails_fails_the_build),
    ("stages_that_are_not_needed_are_not_built", builds::stages_that_are_not_needed_are_not_built),
    ("one_vertex_is_made_once_for_many_builds", builds::one_vertex_is_made_once_for_many_builds),
    (
        "a_build_that_nobody_waits_for_leaves_nothing",
        builds::a_build_that_nobody_waits_for_leaves_nothing,
    ),
    ("what_is_missing_is_explained", builds::what_is_missing_is_explained),
    ("a_container_runs_and_leaves_its_log", lifecycle::a_container_runs_and_leaves_its_log),
    ("auto_remove_leaves_nothing", lifecycle::auto_remove_leaves_nothing),
    ("stop_kill_and_exit_codes", lifecycle::stop_kill_and_exit_codes),
    ("restart_policies_start_it_again", lifecycle::restart_policies_start_it_again),
    ("pause_and_unpause", lifecycle::pause_and_unpause),
    ("names_are_taken_and_given_back", lifecycle::names_are_taken_and_given_back),
    ("a_daemon_finds_what_runs", lifecycle::a_daemon_finds_what_runs),
    ("a_thousand_are_created_at_once", lifecycle::a_thousand_are_created_at_once),
    ("volumes_keep_and_are_filled", lifecycle::volumes_keep_and_are_filled),
    ("volumes_are_made_listed_and_removed", volumes::volumes_are_made_listed_and_removed),
    ("names_with_tricks_are_refused", volumes::names_with_tricks_are_refused),
    (
        "leftovers_are_swept_and_old_directories_are_kept",
        volumes::leftovers_are_swept_and_old_directories_are_kept,
    ),
    (
        "a_volume_in_memory_is_one_for_all_who_run_with_it",
        volumes::a_volume_in_memory_is_one_for_all_who_run_with_it,
    ),
    (
        "a_volume_may_stand_for_a_path_of_the_host",
        mounts::a_volume_may_stand_for_a_path_of_the_host,
    ),
    ("a_subpath_never_leads_outside", mounts::a_subpath_never_leads_outside),
    (
        "empty_volumes_are_filled_and_others_are_not",
        volumes::empty_volumes_are_filled_and_others_are_not,
    ),
    ("mounts_of_other_containers_are_inherited", mounts::mounts_of_other_containers_are_inherited),
    ("images_are_mounted_read_only", mounts::images_are_mounted_read_only),
    ("nothing_is_mounted_over_proc", mounts::nothing_is_mounted_over_proc),
    ("volumes_are_backed_up_and_restored", volumes::volumes_are_backed_up_and_restored),
    ("what_happens_to_volumes_is_told", volumes::what_happens_to_volumes_is_told),
    ("mounts_are_shown_as_docker_shows_them", mounts::mounts_are_shown_as_docker_shows_them),
    ("an_overlay_as_a_volume_is_mounted_once", mounts::an_overlay_as_a_volume_is_mounted_once),
    (
        "many_at_once_never_lose_a_volume_under_a_container",
        volumes::many_at_once_never_lose_a_volume_under_a_container,
    ),
    ("attach_before_start_hears_everything", streams::attach_before_start_hears_everything),
    ("input_reaches_the_process_and_ends", streams::input_reaches_the_process_and_ends),
    ("a_terminal_has_a_size", streams::a_terminal_has_a_size),
    ("exec_runs_beside", streams::exec_runs_beside),
    ("logs_are_followed", streams::logs_are_followed),
    ("export_is_the_whole_root", streams::export_is_the_whole_root),
    (
        "a_stopped_container_is_copied_into_and_out_of",
        copy::a_stopped_container_is_copied_into_and_out_of,
    ),
    (
        "a_running_container_is_copied_into_and_out_of",
        copy::a_running_container_is_copied_into_and_out_of,
    ),
    ("read_only_places_are_not_copied_into", copy::read_only_places_are_not_copied_into),
    (
        "hostile_archives_and_containers_stay_inside",
        copy::hostile_archives_and_containers_stay_inside,
    ),
    ("a_client_that_leaves_holds_nothing", copy::a_client_that_leaves_holds_nothing),
    (
        "a_start_waits_for_copies_into_the_run_before",
        copy::a_start_waits_for_copies_into_the_run_before,
    ),
    (
        "files_become_the_containers_users_when_asked_for",
        copy::files_become_the_containers_users_when_asked_for,
    ),
    ("a_thousand_copies_at_once", copy::a_thousand_copies_at_once),
    (
        "addresses_that_only_wait_are_given_to_who_asks",
        networks::addresses_that_only_wait_are_given_to_who_asks,
    ),
    ("the_default_route_follows_priorities", networks::the_default_route_follows_priorities),
    (
        "who_comes_from_the_default_network_asks_our_resolver",
        networks::who_comes_from_the_default_network_asks_our_resolver,
    ),
    (
        "datagrams_find_a_container_that_was_started_again",
        networks::datagrams_find_a_container_that_was_started_again,
    ),
    ("a_network_is_removed_or_entered", networks::a_network_is_removed_or_entered),
    (
        "a_port_at_an_address_of_the_wrong_family_is_refused",
        networks::a_port_at_an_address_of_the_wrong_family_is_refused,
    ),
    ("killed_monitors_lose_nothing", kills::killed_monitors_lose_nothing),
    ("killed_daemons_lose_nothing", kills::killed_daemons_lose_nothing),
    (
        "a_daemon_killed_anywhere_leaves_nothing_half_done",
        kills::a_daemon_killed_anywhere_leaves_nothing_half_done,
    ),
    (
        "a_daemon_killed_among_volumes_keeps_its_word",
        volume_kills::a_daemon_killed_among_volumes_keeps_its_word,
    ),
    ("commands_that_cannot_start_say_why", refusals::commands_that_cannot_start_say_why),
    ("requests_that_cannot_be_leave_nothing", refusals::requests_that_cannot_be_leave_nothing),
    ("states_forbid_what_they_must", refusals::states_forbid_what_they_must),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_ref().and_then(|word| word.to_str()) {
        Some("monitor") => naru_monitor::serve(arguments),
        Some("daemon") => kills::daemon(arguments),
        Some("build-daemon") => build_kills::daemon(arguments),
        Some("volume-daemon") => volume_kills::daemon(arguments),
        _ => run(&std::env::args().skip(1).collect::<Vec<_>>()),
    }
}

fn run(arguments: &[String]) -> ExitCode {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        for (name, _) in TESTS.iter().filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    let exact = has("--exact");
    let chosen = TESTS.iter().filter(|(name, _)| {
        wanted.is_none_or(
            |wanted| if exact { name == wanted } else { name.contains(wanted.as_str()) },
        )
    });
    let mut failed = false;
    for (name, test) in chosen {
        let passed = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed |= !passed;
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
