//! Health checks as docker's users know them: one script for our client, docker's client, and docker's own daemon; and
//! what only ours promises. Acts: as root.

use integration_tests::daemon::processes;
use integration_tests::peer_docker::PeerDocker;
use integration_tests::{Daemon, Done, image, run, run_with_input, until};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(60);

/// Fails while there is a file, and says so.
const CHECK: &str = "if test -e /bad; then echo bad; exit 3; fi; echo good";

/// A client with its daemon, and whether that is ours.
struct Host<'a>(&'a dyn Fn(&[&str]) -> Command, bool);

impl Host<'_> {
    #[track_caller]
    fn done(&self, words: &[&str]) -> Done {
        run(&mut (self.0)(words))
    }

    #[track_caller]
    fn says(&self, words: &[&str]) -> String {
        self.done(words).ok().text().to_owned()
    }

    /// Runs a container that sleeps.
    #[track_caller]
    fn sleeps(&self, name: &str, flags: &[&str], image: &str) {
        let head = ["run", "-d", "--network", "none", "--name", name];
        self.says(&[&head, flags, &[image, "sleep", "1000"]].concat());
    }

    #[track_caller]
    fn inspect(&self, name: &str) -> Value {
        let text = self.says(&["inspect", name]);
        serde_json::from_str::<Value>(&text).expect("JSON")[0].take()
    }

    #[track_caller]
    fn health(&self, name: &str) -> Value {
        self.inspect(name)["State"]["Health"].take()
    }

    /// Waits until its health is as wanted.
    #[track_caller]
    fn becomes(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let health = until(DEADLINE, || Some(self.health(name)).filter(|health| wanted(health)));
        health.unwrap_or_else(|| panic!("{name} is not {what}: {}", self.health(name)))
    }

    #[track_caller]
    fn is(&self, name: &str, status: &str) -> Value {
        self.becomes(name, status, |health| health["Status"] == status)
    }

    /// Those that a filter lets through.
    #[track_caller]
    fn filtered(&self, status: &str) -> Vec<String> {
        let filter = format!("health={status}");
        let names = self.says(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]);
        names.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn shown(&self, name: &str) -> String {
        let filter = format!("name=^{name}$");
        self.says(&["ps", "-a", "--filter", &filter, "--format", "{{.Status}}"])
    }
}

fn last(health: &Value) -> &Value {
    health["Log"].as_array().and_then(|log| log.last()).expect("a result")
}

/// What every host does.
fn script(host: &Host<'_>) {
    let often = ["--health-interval", "100ms", "--health-retries", "2"];
    let seldom = ["--health-interval", "1h"];

    // Nothing is known before the first check.
    host.sleeps("seldom", &[&["--health-cmd", CHECK][..], &seldom].concat(), "box");
    let health = host.health("seldom");
    assert_eq!((&health["Status"], &health["FailingStreak"]), (&"starting".into(), &0.into()));
    assert_eq!(health["Log"], serde_json::json!([]));
    assert!(host.shown("seldom").ends_with(" (health: starting)"), "{}", host.shown("seldom"));

    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970");
    let since = now.as_secs().to_string();

    // From starting to healthy to unhealthy and back, with its events.
    let create = ["create", "--network", "none", "--name", "web", "--health-cmd", CHECK];
    host.says(&[&create[..], &often, &["box", "sleep", "1000"]].concat());
    assert_eq!(host.health("web"), Value::Null);
    let filter = ["--filter", "container=web", "--format", "{{.Action}}"];
    let words = [&["events", "--since", &since][..], &filter].concat();
    let mut child = (host.0)(&words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut seen = Vec::new();
    let mut told = |wanted: &str| {
        while seen.last().is_none_or(|last| last != wanted) {
            seen.push(lines.next().expect("an event").expect("a line"));
        }
        std::mem::take(&mut seen)
    };
    host.says(&["start", "web"]);
    let events = told("health_status: healthy").join("\n");
    let probe = format!("/bin/sh -c {CHECK}");
    let want =
        format!("exec_create: {probe}\nexec_start: {probe}\nexec_die\nhealth_status: healthy");
    assert!(events.ends_with(&want), "{events}");
    let health = host.is("web", "healthy");
    let result = last(&health);
    assert_eq!((&result["ExitCode"], &result["Output"]), (&0.into(), &"good\n".into()));
    assert!(result["Start"].as_str() < result["End"].as_str(), "{result}");
    assert!(host.shown("web").ends_with(" (healthy)"), "{}", host.shown("web"));
    assert_eq!(host.filtered("healthy"), ["web"]);
    assert_eq!(host.filtered("starting"), ["seldom"]);
    host.says(&["exec", "web", "touch", "/bad"]);
    told("health_status: unhealthy");
    let health = host.is("web", "unhealthy");
    let result = last(&health);
    assert_eq!((&result["ExitCode"], &result["Output"]), (&3.into(), &"bad\n".into()));
    assert!(health["FailingStreak"].as_i64() >= Some(2), "{health}");
    assert!(host.shown("web").ends_with(" (unhealthy)"), "{}", host.shown("web"));
    assert_eq!(host.filtered("unhealthy"), ["web"]);
    let full = |health: &Value| health["Log"].as_array().is_some_and(|log| log.len() == 5);
    host.becomes("web", "full", full);
    host.says(&["exec", "web", "rm", "/bad"]);
    told("health_status: healthy");
    assert_eq!(host.is("web", "healthy")["FailingStreak"], 0);

    // Nobody checks what is paused or stopped.
    host.says(&["pause", "web"]);
    assert_eq!(host.health("web")["Status"], "unhealthy");
    assert!(host.shown("web").ends_with(" (Paused)"), "{}", host.shown("web"));
    host.says(&["unpause", "web"]);
    told("health_status: healthy");
    host.is("web", "healthy");
    host.says(&["stop", "-t", "0", "web"]);
    assert_eq!(host.health("web")["Status"], "unhealthy");
    assert!(host.shown("web").starts_with("Exited "), "{}", host.shown("web"));
    host.says(&["start", "web"]);
    told("health_status: healthy");
    drop(child.kill());
    drop(child.wait());
    host.says(&["rm", "-f", "web", "seldom"]);

    // A check that takes too long, one that says a lot, one that cannot be run.
    let slow = ["--health-cmd", "echo slow; sleep 1000", "--health-timeout", "200ms"];
    host.sleeps("slow", &[&slow[..], &often].concat(), "box");
    let health = host.is("slow", "unhealthy");
    assert_eq!(last(&health)["ExitCode"], -1);
    let said = last(&health)["Output"].as_str().expect("text").to_owned();
    assert!(said.starts_with("Health check exceeded timeout (200ms)"), "{said}");
    let loud = ["--health-cmd", "head -c 100000 /dev/zero | tr '\\0' x"];
    host.sleeps("loud", &[&loud[..], &often].concat(), "box");
    let health = host.is("loud", "healthy");
    assert_eq!(last(&health)["Output"], format!("{}...", "x".repeat(4096)));

    // Failures of the start period do not count.
    let late = ["--health-cmd", "exit 1", "--health-start-period", "1h"];
    host.sleeps("late", &[&late[..], &often].concat(), "box");
    host.says(&["rm", "-f", "slow", "loud"]);

    // What the image says, as its user, in its directory, with its environment, by its shell; and what the flags say.
    let file = "FROM box\nUSER 1000\nWORKDIR /w\nENV A=b\nSHELL [\"/bin/sh\", \"-ec\"]\n\
        HEALTHCHECK --interval=100ms --timeout=5s --retries=1 CMD id -u; pwd; echo $A; false; exit 4\n";
    let mut build = (host.0)(&["build", "-t", "checked", "-"]);
    run_with_input(build.env("DOCKER_BUILDKIT", "0"), file.as_bytes()).ok();
    host.sleeps("image", &[], "checked");
    let health = host.is("image", "unhealthy");
    // Docker 20.10 does not know the image's shell by then.
    assert_eq!(last(&health)["ExitCode"], if host.1 { 1 } else { 4 });
    assert_eq!(last(&health)["Output"], "1000\n/w\nb\n");
    host.sleeps("flags", &["--health-cmd", "exit 0", "--health-retries", "7"], "checked");
    host.is("flags", "healthy");
    let check = &host.inspect("flags")["Config"]["Healthcheck"];
    assert_eq!(
        (&check["Retries"], &check["Interval"]),
        (&7.into(), &100_000_000.into()),
        "{check}"
    );
    assert_eq!(check["Test"], serde_json::json!(["CMD-SHELL", "exit 0"]));
    host.sleeps("none", &["--no-healthcheck"], "checked");
    assert_eq!(host.health("none"), Value::Null);
    assert_eq!(host.filtered("none"), ["none"]);

    let fails = |flags: &[&str], message: &str| {
        let done = host.done(&[&["create"], flags, &["box"]].concat());
        assert!(done.code != 0 && done.stderr.contains(message), "{}", done.stderr);
    };
    fails(&["--health-interval", "500us"], "Interval in Healthcheck cannot be less than 1ms");
    fails(&["--health-timeout", "1ns"], "Timeout in Healthcheck cannot be less than 1ms");
    fails(&["--health-start-period", "1ns"], "StartPeriod in Healthcheck cannot be less than 1ms");
    fails(&["--health-retries", "-1"], "--health-retries cannot be negative");
    fails(&["--health-interval", "-1s"], "--health-interval cannot be negative");
    let conflict = "--no-healthcheck conflicts with --health-* options";
    fails(&["--no-healthcheck", "--health-cmd", "a"], conflict);

    // By now it was checked more than often enough.
    let health = host.becomes("late", "checked", |health| {
        health["Log"].as_array().is_some_and(|log| !log.is_empty())
    });
    assert_eq!((&health["Status"], &health["FailingStreak"]), (&"starting".into(), &0.into()));
    host.says(&["rm", "-f", "late", "image", "flags", "none"]);
}

#[test]
fn our_client() {
    let daemon = Daemon::start().with_busybox("box");
    script(&Host(&|words| daemon.command(words), true));
}

#[test]
fn dockers_client() {
    let daemon = Daemon::start().with_busybox("box");
    script(&Host(&|words| daemon.docker_command(words), true));
}

#[test]
fn dockers_daemon_agrees() {
    let docker = PeerDocker::apart();
    let mut import = docker.command(&["import", "-c", "CMD [\"sh\"]", "-", "box"]);
    run_with_input(&mut import, &image::busybox_tar()).ok();
    script(&Host(&|words| docker.command(words), false));
}

/// How many processes have this command line.
fn count(line: &[&str]) -> usize {
    processes().iter().filter(|(_, words)| words.iter().take(line.len()).eq(line)).count()
}

#[test]
fn checks_go_on_with_the_next_daemon_and_leave_nothing() {
    let mut daemon = Daemon::start().with_busybox("box");
    // Others run this test too, on other numbers.
    let number = (1_000_000 + std::process::id()).to_string();
    let line = ["sleep", &number];
    let hung = format!("sleep {number} & sleep {number}");
    let often = ["--health-interval", "100ms"];
    {
        let host = Host(&|words| daemon.command(words), true);
        host.sleeps("web", &[&["--health-cmd", CHECK][..], &often].concat(), "box");
        host.sleeps("hung", &[&["--health-cmd", &hung][..], &often].concat(), "box");
        host.is("web", "healthy");
        assert!(until(DEADLINE, || (count(&line) == 2).then_some(())).is_some());
        assert_eq!(host.inspect("hung")["ExecIDs"].as_array().map(Vec::len), Some(1));
    }
    daemon.kill();
    // Nobody is there who would end them but the monitor.
    assert!(until(DEADLINE, || (count(&line) == 0).then_some(())).is_some());
    daemon.launch();
    let host = Host(&|words| daemon.command(words), true);
    let health = host.is("web", "healthy");
    assert_eq!(health["FailingStreak"], 0);
    host.says(&["exec", "web", "touch", "/bad"]);
    host.is("web", "unhealthy");
    // They hang again, and end with a pause, and with their container.
    assert!(until(DEADLINE, || (count(&line) == 2).then_some(())).is_some());
    host.says(&["pause", "hung"]);
    host.says(&["unpause", "hung"]);
    assert!(until(DEADLINE, || (count(&line) == 2).then_some(())).is_some());
    host.says(&["stop", "-t", "0", "hung"]);
    assert!(until(DEADLINE, || (count(&line) == 0).then_some(())).is_some());
    assert_eq!(host.inspect("hung")["ExecIDs"], Value::Null);
}

#[test]
fn what_a_check_that_took_too_long_has_started_ends_with_it() {
    let daemon = Daemon::start().with_busybox("box");
    let host = Host(&|words| daemon.command(words), true);
    let bomb = "while :; do sleep 1000 & done";
    let seldom = ["--health-interval", "1s", "--health-retries", "1"];
    let flags = [&["--health-cmd", bomb, "--health-timeout", "200ms"][..], &seldom].concat();
    host.sleeps("bomb", &flags, "box");
    host.is("bomb", "unhealthy");
    let rows = || host.says(&["top", "bomb"]).lines().count();
    assert!(until(DEADLINE, || (rows() == 2).then_some(())).is_some(), "{}", rows());
    // A check without an end, and without an end to what it says.
    let flags = ["--health-cmd", "yes", "--health-interval", "1s", "--health-timeout", "300ms"];
    host.sleeps("loud", &flags, "box");
    let health = host.becomes("loud", "checked", |health| {
        health["Log"].as_array().is_some_and(|log| !log.is_empty())
    });
    let said = last(&health)["Output"].as_str().expect("text").to_owned();
    assert!(said.starts_with("Health check exceeded timeout (300ms): y\ny\n"), "{said}");
    assert!(said.ends_with("...") && said.len() < 4200, "{}", said.len());
}
