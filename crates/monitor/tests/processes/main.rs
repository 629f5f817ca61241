//! The monitor as a real process, with a launcher that needs no containers. Acts.
//!
//! This program has several roles, as the product has: it is the test runner, the monitor (`monitor …`), and the processes
//! that write (`write …`). So it has a main of its own that speaks as much of the test runner's language as is needed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "without the standard harness the lints do not see that this is a test"
)]

mod daemon;
mod ends;
mod fake;
mod kills;
mod streams;

use std::process::ExitCode;

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("a_process_is_logged_and_its_exit_told", streams::a_process_is_logged_and_its_exit_told),
    ("readers_get_every_byte", streams::readers_get_every_byte),
    ("a_slow_reader_makes_the_process_wait", streams::a_slow_reader_makes_the_process_wait),
    ("readers_that_go_away_are_dropped", streams::readers_that_go_away_are_dropped),
    ("standard_input_is_held_until_closed", streams::standard_input_is_held_until_closed),
    ("a_terminal_is_logged_as_stdout", streams::a_terminal_is_logged_as_stdout),
    ("a_full_disk_leaves_a_note", streams::a_full_disk_leaves_a_note),
    ("logs_rotate", streams::logs_rotate),
    ("output_without_a_log_costs_no_memory", streams::output_without_a_log_costs_no_memory),
    ("exits_are_told_once_and_kept_until_forgotten", ends::exits_are_told_once_and_kept),
    ("descendants_do_not_hold_up_an_exit", ends::descendants_do_not_hold_up_an_exit),
    ("a_hung_start_blocks_nobody", ends::a_hung_start_blocks_nobody),
    ("failed_starts_say_why", ends::failed_starts_say_why),
    ("starts_of_a_dead_daemon_are_listed", ends::starts_of_a_dead_daemon_are_listed),
    ("what_is_tied_ends_with_its_daemon", ends::what_is_tied_ends_with_its_daemon),
    ("orphans_are_reaped", ends::orphans_are_reaped),
    ("what_a_dead_monitor_started_is_reaped", ends::what_a_dead_monitor_started_is_reaped),
    ("an_idle_monitor_sleeps_and_ends", ends::an_idle_monitor_sleeps_and_ends),
    ("nonsense_is_refused", ends::nonsense_is_refused),
    ("two_hundred_at_once", kills::two_hundred_at_once),
    ("killed_monitors_lose_nothing", kills::killed_monitors_lose_nothing),
    ("killed_daemons_lose_nothing", kills::killed_daemons_lose_nothing),
    ("upgrades_lose_nothing", kills::upgrades_lose_nothing),
    ("terminals_survive_a_killed_monitor", kills::terminals_survive_a_killed_monitor),
    ("readers_go_on_exactly_after_a_kill", kills::readers_go_on_exactly_after_a_kill),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_ref().and_then(|word| word.to_str()) {
        Some("monitor") => fake::monitor(arguments),
        Some("clean") => fake::clean(arguments),
        Some("write") => fake::write(arguments),
        _ => run(std::env::args().skip(1).collect()),
    }
}

fn run(arguments: Vec<String>) -> ExitCode {
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
