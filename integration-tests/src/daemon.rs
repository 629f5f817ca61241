//! A daemon with its own roots and socket, ended with everything it started when the test ends. Acts.

use crate::machine::Machine;
use crate::run::{Done, binary, run, run_with_input, until};
pub use rustix::process::Signal;
use std::io::BufRead;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a daemon may take to answer.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    dir: tempfile::TempDir,
    child: Option<Child>,
    binary: PathBuf,
    before: Vec<String>,
    extra: Vec<String>,
    failpoint: Option<String>,
    machine: Option<Machine>,
}

impl Daemon {
    /// Starts a daemon on an empty root.
    #[track_caller]
    pub fn start() -> Daemon {
        Daemon::start_with(&[])
    }

    /// Starts a daemon with more options.
    #[track_caller]
    pub fn start_with(extra: &[&str]) -> Daemon {
        Daemon::start_whole(None, &[], extra)
    }

    /// Starts a daemon by other words, which become it in the end (`nsenter --net=... --`).
    #[track_caller]
    pub fn start_under(before: &[String], extra: &[&str]) -> Daemon {
        Daemon::start_whole(None, before, extra)
    }

    /// Starts a daemon on a network of its own, as if it were on another machine: whatever subnets and ports a test names
    /// are free there.
    #[track_caller]
    pub fn start_apart(extra: &[&str]) -> Daemon {
        Daemon::start_whole(Some(Machine::start()), &[], extra)
    }

    /// [`Daemon::start_apart`], with variables in the daemon's environment.
    #[track_caller]
    pub fn start_apart_with(variables: &[(&str, &str)], extra: &[&str]) -> Daemon {
        let words = variables.iter().map(|(name, value)| format!("{name}={value}"));
        let machine = Machine::start();
        let mut before = vec!["nsenter".to_owned(), machine.entrance(), "env".to_owned()];
        before.extend(words);
        Daemon::start_whole(Some(machine), &before, extra)
    }

    #[track_caller]
    fn start_whole(machine: Option<Machine>, before: &[String], extra: &[&str]) -> Daemon {
        // Short, because a socket's path must fit into 108 bytes.
        let dir = tempfile::Builder::new()
            .prefix("naru-t")
            .tempdir_in("/tmp")
            .expect("a directory under /tmp");
        let extra = extra.iter().map(|item| (*item).to_owned()).collect();
        let before = before.to_vec();
        let mut daemon =
            Daemon { dir, child: None, binary: binary(), before, extra, machine, failpoint: None };
        daemon.launch();
        daemon
    }

    /// The directory of this test.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where images and containers are kept.
    pub fn data_root(&self) -> PathBuf {
        self.dir().join("data")
    }

    /// Where sockets and state of running things are kept.
    pub fn exec_root(&self) -> PathBuf {
        self.dir().join("exec")
    }

    /// The API socket.
    pub fn socket(&self) -> PathBuf {
        self.dir().join("api.sock")
    }

    /// The endpoint as `-H` and `DOCKER_HOST` take it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// What the daemon wrote to standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("daemon.log")).unwrap_or_default()
    }

    /// The daemon's process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running daemon").id()
    }

    /// The monitor's process, while there is one.
    pub fn monitor_pid(&self) -> Option<u32> {
        let socket = self.exec_root().join("monitor.sock");
        processes()
            .into_iter()
            .find(|(_, line)| {
                line.iter().any(|word| word == "monitor")
                    && line.iter().any(|word| Path::new(word) == socket)
            })
            .map(|(pid, _)| pid)
    }

    /// Starts the daemon process (again) and waits until it answers.
    #[track_caller]
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "the daemon runs already");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir().join("daemon.log"))
            .expect("a log");
        let mut words = self.before.iter().map(std::ffi::OsString::from);
        let mut command = match (words.next(), &self.machine) {
            (Some(first), _) => {
                let mut command = Command::new(first);
                command.args(words).arg(&self.binary);
                command
            }
            (None, Some(machine)) => machine.command(&self.binary),
            (None, None) => Command::new(&self.binary),
        };
        if let Some(failpoint) = self.failpoint.take() {
            command.env("NARU_FAILPOINT", failpoint);
        }
        let child = command
            .arg("daemon")
            .arg("--data-root")
            .arg(self.data_root())
            .arg("--exec-root")
            .arg(self.exec_root())
            .arg("--pidfile")
            .arg(self.dir().join("daemon.pid"))
            .arg("-H")
            .arg(self.host())
            .args(&self.extra)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        self.child = Some(child);
        let socket = self.socket();
        let ready = until(READY_LIMIT, || {
            let child = self.child.as_mut()?;
            if let Ok(Some(status)) = child.try_wait() {
                return Some(Err(status));
            }
            UnixStream::connect(&socket).ok().map(|_| Ok(()))
        });
        match ready {
            Some(Ok(())) => {}
            Some(Err(status)) => panic!("the daemon ended at once ({status}):\n{}", self.log()),
            None => panic!("the daemon did not answer within {READY_LIMIT:?}:\n{}", self.log()),
        }
    }

    /// Another program where the daemon's network is.
    pub fn neighbour(&self, program: &str) -> Command {
        match &self.machine {
            Some(machine) => machine.command(Path::new(program)),
            None => Command::new(program),
        }
    }

    /// Does something where the daemon's network is.
    #[track_caller]
    pub fn nearby<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.machine {
            Some(machine) => machine.on(work),
            None => work(),
        }
    }

    /// Uses another binary from the next launch on (an upgrade).
    pub fn use_binary(&mut self, path: &Path) {
        self.binary = path.to_owned();
    }

    /// The next daemon that is launched kills itself at this failpoint.
    pub fn arm(&mut self, failpoint: &str) {
        self.failpoint = Some(failpoint.to_owned());
    }

    /// Waits until the daemon has ended by itself, and says how.
    #[track_caller]
    pub fn ended(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("a running daemon");
        let ended = until(READY_LIMIT, || child.try_wait().expect("our own child"));
        let Some(status) = ended else {
            drop(child.kill());
            drop(child.wait());
            panic!("the daemon goes on:\n{}", self.log());
        };
        status
    }

    /// SIGKILLs the daemon and reaps it; containers and monitor go on.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Asks the daemon to end (SIGTERM) and waits for it.
    #[track_caller]
    pub fn terminate(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal(child.id(), Signal::TERM);
        let ended = until(Duration::from_secs(30), || child.try_wait().expect("our own child"));
        if ended.is_none() {
            drop(child.kill());
            drop(child.wait());
            panic!("the daemon did not end on SIGTERM:\n{}", self.log());
        }
    }

    /// The client against this daemon.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("-H").arg(self.host()).args(args);
        command
    }

    /// Runs the client against this daemon.
    #[track_caller]
    pub fn naru(&self, args: &[&str]) -> Done {
        run(&mut self.command(args))
    }

    /// Runs the client with this standard input.
    #[track_caller]
    pub fn naru_with_input(&self, args: &[&str], input: &[u8]) -> Done {
        run_with_input(&mut self.command(args), input)
    }

    /// The docker CLI against this daemon.
    pub fn docker_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .env("DOCKER_HOST", self.host())
            .env("DOCKER_CONFIG", self.dir().join("docker-config"))
            .args(args);
        command
    }

    /// Runs the docker CLI against this daemon.
    #[track_caller]
    pub fn docker(&self, args: &[&str]) -> Done {
        run(&mut self.docker_command(args))
    }

    /// Imports the busybox image of [`crate::image`] under a name.
    #[track_caller]
    pub fn with_busybox(self, name: &str) -> Daemon {
        self.naru_with_input(
            &["import", "-c", "CMD [\"sh\"]", "-", name],
            &crate::image::busybox_tar(),
        )
        .ok();
        self
    }

    /// Follows the lines of a command's standard output.
    #[track_caller]
    pub fn follow(&self, args: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
        let mut child = self
            .command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the client starts");
        let lines = std::io::BufReader::new(child.stdout.take().expect("piped")).lines();
        (child, lines.map_while(Result::ok))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Containers end by our own word, so that nothing is left even when a test failed half way.
        if self.child.is_some() {
            let list = run(&mut self.command(&["ps", "-aq"]));
            for id in list.stdout.split_whitespace() {
                drop(run(&mut self.command(&["rm", "-f", id])));
            }
        }
        if std::thread::panicking() {
            self.show_log();
        }
        let monitor = self.monitor_pid();
        if let Some(mut child) = self.child.take() {
            signal(child.id(), Signal::TERM);
            if until(Duration::from_secs(10), || child.try_wait().ok().flatten()).is_none() {
                drop(child.kill());
                drop(child.wait());
            }
        }
        if let Some(pid) = monitor {
            let gone = || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(());
            if until(Duration::from_secs(2), gone).is_none() {
                signal(pid, Signal::KILL);
            }
        }
    }
}

impl Daemon {
    fn show_log(&self) {
        eprintln!("--- daemon log ---\n{}", self.log());
    }
}

/// Sends a signal to a process that the test knows.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // A process that has ended is what the caller wanted.
        rustix::process::kill_process(pid, signal).ok();
    }
}

/// Every process with its command line.
pub fn processes() -> Vec<(u32, Vec<String>)> {
    let mut list = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let words = line
            .split(|b| *b == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        list.push((pid, words));
    }
    list
}
