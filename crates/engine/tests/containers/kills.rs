//! SIGKILL at random instants: of the monitor under a daemon, of the daemon over a monitor, in the middle of anything.

use crate::house::{House, config_of, sh, soon, with};
use naru_engine::{
    CreateRequest, Engine, HostConfig, ListFilter, LogOptions, Status, StopOptions, StreamKind,
};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

const ROUNDS: u32 = 12;
/// Writes numbered lines until `/go` is there, then exits with 7.
const COUNTER: &str = "n=0; while [ ! -e /go ]; do echo $n; n=$((n+1)); done; exit 7";

/// Some number of milliseconds, different each time.
fn some(most: u64) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Duration::from_millis(u64::from(now.subsec_micros()) % most)
}

/// Every line is there once, in order; how many there are.
fn check_numbers(what: &str, text: &str) -> usize {
    let mut count = 0;
    for line in text.lines() {
        assert_eq!(line, count.to_string(), "{what}, line {count}");
        count += 1;
    }
    assert!(text.is_empty() || text.ends_with('\n'), "{what}: half a line");
    count
}

/// The monitors that are our children, if there are any at this instant.
fn monitors() -> Vec<u32> {
    let own = std::process::id().to_string();
    let of_ours = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&own))
            && line.windows(9).any(|window| window == b"\0monitor\0")
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(of_ours).collect()
}

fn kill(pid: u32) {
    // It may be gone already.
    if let Ok(process) = naru_kernel::pidfd::open(pid) {
        naru_kernel::pidfd::send_signal(&process, 9).ok();
    }
}

pub(crate) fn killed_monitors_lose_nothing() {
    with(async |house: House| {
        let containers = house.engine().containers.clone();
        let mut running = Vec::new();
        for _ in 0..2 {
            let script = COUNTER.replace("done;", "sleep 0.001; done;");
            // Not rotated, so that every line can be counted.
            let host = HostConfig {
                log: naru_engine::LogConfig {
                    options: [("max-size".to_owned(), "1g".to_owned())].into(),
                    ..Default::default()
                },
                ..HostConfig::default()
            };
            let id = house.create(&script, host).await;
            let mut attachment = house.attach(&id, false).await;
            house.start(&id).await;
            let reader = tokio::spawn(async move {
                let mut text = Vec::new();
                while let Some((stream, bytes)) = attachment.output.next().await {
                    assert_eq!(stream, StreamKind::Stdout);
                    text.extend_from_slice(&bytes);
                }
                String::from_utf8(text).unwrap()
            });
            let pid = containers.inspect(&id, false).await.unwrap().state.pid;
            running.push((id, pid, reader));
        }
        for _ in 0..ROUNDS {
            tokio::time::sleep(some(60)).await;
            // Whether it is killed while it takes over does not matter.
            for monitor in monitors() {
                kill(monitor);
            }
        }
        for (id, pid, reader) in running {
            assert_eq!(containers.inspect(&id, false).await.unwrap().state.status, Status::Running);
            std::fs::File::create(format!("/proc/{pid}/root/go")).unwrap();
            assert_eq!(house.wait(&id).await.code, 7);
            let heard = soon("the end of the output", reader).await.unwrap();
            let logged = house.logs(&id).await;
            let lines = check_numbers("the log", &logged);
            assert_eq!(check_numbers("the attached client", &heard), lines);
            assert!(lines > 10, "{lines}");
        }
        // And containers can be started as before.
        assert_eq!(house.run("echo still", HostConfig::default()).await.1, "still\n");
        house
    });
}

/// The role `daemon DATA EXEC COUNT`: opens the engine, makes and starts so many containers, says so, and stays.
pub(crate) fn daemon(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let config = config_of(&mut arguments);
    let count: u32 = arguments.next().unwrap().to_str().unwrap().parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let engine = Engine::open(config).await.unwrap();
        println!("open");
        for number in 0..count {
            let request = CreateRequest {
                name: Some(format!("counter-{}-{number}", std::process::id())),
                config: sh(&COUNTER.replace("done;", "sleep 0.001; done;")),
                host: HostConfig {
                    network_mode: "none".into(),
                    auto_remove: number % 2 == 1,
                    ..HostConfig::default()
                },
                ..CreateRequest::default()
            };
            let created = engine.containers.create(request).await.unwrap();
            engine.containers.start(&created.id).await.unwrap();
            println!("started {}", created.id);
        }
        println!("ready");
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

struct Daemon {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Daemon {
    fn start(root: &Path, count: u32) -> Daemon {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("daemon")
            .arg(root.join("data"))
            .arg(root.join("run"))
            .arg(count.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Daemon { child, lines }
    }

    /// What it says until `word`, or until its end.
    fn until(&mut self, word: &str) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 || line.trim() == word {
                return said;
            }
            said.push(line.trim().to_owned());
        }
    }

    fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.until("")
    }
}

pub(crate) fn killed_daemons_lose_nothing() {
    with(async |mut house: House| {
        house.end_daemon().await;
        let root = house.dir.path().to_owned();
        let mut daemon = Daemon::start(&root, 4);
        let started: Vec<String> = daemon
            .until("ready")
            .iter()
            .filter_map(|line| line.strip_prefix("started ").map(str::to_owned))
            .collect();
        assert_eq!(started.len(), 4);
        for _ in 0..ROUNDS {
            std::thread::sleep(some(40));
            daemon.kill();
            daemon = Daemon::start(&root, 0);
            daemon.until("ready");
        }
        daemon.kill();
        house.start_daemon().await;
        let containers = house.engine().containers.clone();
        for id in &started {
            let view = containers.inspect(id, false).await.unwrap();
            assert_eq!(view.state.status, Status::Running, "{id}");
            let wait = containers.wait(id, naru_engine::WaitCondition::NextExit).unwrap();
            let options = LogOptions { stdout: true, follow: true, ..LogOptions::default() };
            let mut logs = containers.logs(id, options).await.unwrap();
            std::fs::File::create(format!("/proc/{}/root/go", view.state.pid)).unwrap();
            assert_eq!(soon("the exit", wait).await.code, 7);
            let mut text = String::new();
            while let Some(record) = soon("the log", logs.next()).await {
                text.push_str(std::str::from_utf8(&record.unwrap().bytes).unwrap());
            }
            assert!(check_numbers("the log", &text) > 10);
        }
        house
    });
}

pub(crate) fn a_daemon_killed_anywhere_leaves_nothing_half_done() {
    with(async |mut house: House| {
        house.end_daemon().await;
        let root = house.dir.path().to_owned();
        for _ in 0..ROUNDS {
            let mut daemon = Daemon::start(&root, 20);
            daemon.until("open");
            std::thread::sleep(some(400));
            let said = daemon.kill();
            house.start_daemon().await;
            let containers = house.engine().containers.clone();
            let all = ListFilter { all: true, ..ListFilter::default() };
            let rows = containers.list(&all).await.unwrap();
            for id in said.iter().filter_map(|line| line.strip_prefix("started ")) {
                let row = rows.iter().find(|row| row.id == id);
                let row = row.unwrap_or_else(|| panic!("{id} was started and is gone"));
                assert_eq!(row.state, Status::Running, "{id}");
            }
            // Whatever is there works as a whole.
            for row in rows {
                if row.state == Status::Created {
                    soon("the start", containers.start(&row.id)).await.unwrap();
                }
                let options = StopOptions { timeout: Some(0), signal: None };
                // A start that nobody was told of may have been undone.
                match soon("the stop", containers.stop(&row.id, options)).await {
                    Err(fault) if fault.kind() != naru_errdefs::Kind::NotModified => {
                        panic!("{fault:?}")
                    }
                    _ => {}
                }
                let force = naru_engine::RemoveOptions { force: true, volumes: true };
                match containers.remove(&row.id, force).await {
                    Err(fault) if fault.kind() != naru_errdefs::Kind::NotFound => {
                        panic!("{fault:?}")
                    }
                    _ => {}
                }
            }
            drop(containers);
            house.end_daemon().await;
        }
        house
    });
}
