use super::*;

fn config(test: &[&str], shell: &[&str]) -> ContainerConfig {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    ContainerConfig {
        healthcheck: Some(Healthcheck { test: words(test), ..Healthcheck::default() }),
        shell: words(shell),
        ..ContainerConfig::default()
    }
}

#[test]
fn a_command_is_run_as_it_stands_or_by_the_shell() {
    for (test, shell, want, warned) in [
        (&["CMD", "a", "b"][..], &["x"][..], Some("a b"), false),
        (&["CMD-SHELL", "a b"], &[], Some("/bin/sh -c a b"), false),
        (&["CMD-SHELL", "a b"], &["/ash", "-ec"], Some("/ash -ec a b"), false),
        (&["NONE"], &[], None, false),
        (&[], &[], None, false),
        (&["CMD"], &[], None, true),
        (&["CMD-SHELL"], &[], None, true),
        (&["TCP", "80"], &[], None, true),
    ] {
        let config = config(test, shell);
        let command = Rules::of(&config).map(|rules| rules.command.join(" "));
        assert_eq!(command.as_deref(), want, "{test:?}");
        assert_eq!(never_run(&config).is_some(), warned, "{test:?}");
    }
    assert_eq!(Rules::of(&ContainerConfig::default()), None);
}

fn rules(change: fn(&mut Healthcheck)) -> Rules {
    let mut config = config(&["CMD", "a"], &[]);
    config.healthcheck.iter_mut().for_each(change);
    Rules::of(&config).unwrap()
}

#[test]
fn what_is_left_out_is_dockers_default() {
    let given = rules(|_| {});
    let seconds = [given.interval, given.timeout, given.start_period, given.start_interval];
    assert_eq!(seconds.map(|time| time.as_secs()), [30, 30, 0, 5]);
    assert_eq!(given.retries, 3);
    // What an image asks for is not validated, but it must not keep the daemon busy.
    let given = rules(|check| (check.interval, check.timeout, check.retries) = (1, -1, -1));
    assert_eq!((given.interval, given.timeout.as_secs(), given.retries), (SHORTEST, 30, 3));
}

#[test]
fn the_next_check_is_due_sooner_while_it_starts() {
    let given = rules(|check| {
        (check.start_period, check.start_interval) = (10_000_000_000, 2_000_000_000);
    });
    for (status, lasted, want) in [
        (HealthStatus::Starting, 0, 2),
        (HealthStatus::Starting, 9, 2),
        (HealthStatus::Starting, 10, 30),
        (HealthStatus::Healthy, 1, 30),
        (HealthStatus::Unhealthy, 1, 30),
    ] {
        let pause = given.pause(status, Duration::from_secs(lasted));
        assert_eq!(pause.as_secs(), want, "{status:?} {lasted}");
    }
    assert_eq!(rules(|_| {}).pause(HealthStatus::Starting, Duration::ZERO).as_secs(), 30);
}

/// A row: the status before, the check's second and exit code, the status and the streak after it.
fn story(rules: &Rules, rows: &[(i64, i64, &str, i64)]) {
    let mut view = HealthView::default();
    for (second, exit_code, status, streak) in rows {
        let before = view.status;
        let at = Timestamp::from_seconds(1000 + second);
        let result =
            HealthResult { start: at, end: at, exit_code: *exit_code, output: String::new() };
        let told = view.note(rules, Some(Timestamp::from_seconds(1000)), result);
        assert_eq!((view.status.as_str(), view.failing_streak), (*status, *streak), "{second}");
        assert_eq!(told, (view.status != before).then_some(view.status), "{second}");
    }
}

#[test]
fn failures_in_a_row_make_it_unhealthy_and_one_success_healthy() {
    story(
        &rules(|_| {}),
        &[
            (1, 1, "starting", 1),
            (2, 1, "starting", 2),
            (3, 0, "healthy", 0),
            (4, 1, "healthy", 1),
            (5, 2, "healthy", 2),
            (6, 0, "healthy", 0),
            (7, -1, "healthy", 1),
            (8, 137, "healthy", 2),
            (9, 1, "unhealthy", 3),
            (10, 1, "unhealthy", 4),
            (11, 0, "healthy", 0),
        ],
    );
}

#[test]
fn failures_of_the_start_period_do_not_count_until_a_success_ends_it() {
    let given = rules(|check| (check.start_period, check.retries) = (10_000_000_000, 2));
    story(
        &given,
        &[
            (1, 1, "starting", 0),
            (9, 1, "starting", 0),
            (10, 1, "starting", 1),
            (11, 1, "unhealthy", 2),
        ],
    );
    story(&given, &[(1, 0, "healthy", 0), (2, 1, "healthy", 1), (3, 1, "unhealthy", 2)]);
}

#[test]
fn the_last_results_are_kept() {
    let mut view = HealthView::default();
    for number in 0..8 {
        let at = Timestamp::from_seconds(number);
        let result = HealthResult { start: at, end: at, exit_code: number, output: String::new() };
        view.note(&rules(|_| {}), None, result);
    }
    let codes: Vec<i64> = view.log.iter().map(|result| result.exit_code).collect();
    assert_eq!(codes, [3, 4, 5, 6, 7]);
}

#[test]
fn output_is_cut() {
    for (pieces, length, cut) in [
        (&[10][..], 10, false),
        (&[4000, 96], 4096, false),
        (&[4000, 97], 4096, true),
        (&[9000], 4096, true),
        (&[4096, 1], 4096, true),
        (&[], 0, false),
    ] {
        let mut said = Said::default();
        let more = pieces.iter().all(|length| said.take(&vec![b'x'; *length]));
        let text = said.text();
        assert_eq!((more, text.ends_with("...")), (!cut, cut), "{pieces:?}");
        assert_eq!(text.trim_end_matches('.').len(), length, "{pieces:?}");
    }
    let mut said = Said::default();
    said.take(b"a\xffb");
    assert_eq!(said.text(), "a\u{fffd}b");
}

#[test]
fn times_are_shown_as_in_go() {
    for (milliseconds, want) in [
        (1, "1ms"),
        (1500, "1.5s"),
        (30_000, "30s"),
        (60_000, "1m0s"),
        (90_000, "1m30s"),
        (3_600_000, "1h0m0s"),
    ] {
        assert_eq!(shown(Duration::from_millis(milliseconds)), want);
    }
}
