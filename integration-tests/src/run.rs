//! Running commands with a deadline, and waiting for events. Acts.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a single command may take before the test gives up on it.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// What a finished command left.
#[derive(Debug)]
pub struct Done {
    /// Exit code; 128+n when ended by signal n.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Done {
    /// Ends the test unless the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Done {
        assert!(
            self.code == 0,
            "exit code {}\nstdout: {}\nstderr: {}",
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Ends the test unless the exit code is this one and standard error contains the text.
    #[track_caller]
    pub fn fails(self, code: i32, text: &str) -> Done {
        assert!(
            self.code == code && self.stderr.contains(text),
            "expected exit code {code} and `{text}`, got {}\nstdout: {}\nstderr: {}",
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output without surrounding white space.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }
}

/// The binary under test: `NARU_BIN`, or the one of the same profile as this test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NARU_BIN").filter(|path| !path.is_empty()) {
        return PathBuf::from(path);
    }
    let own = std::env::current_exe().expect("a test knows its own path");
    let beside = own
        .parent()
        .and_then(|deps| deps.parent())
        .map(|dir| dir.join("naru"))
        .expect("a target directory");
    assert!(
        beside.exists(),
        "no binary at `{}`: run `cargo build --package naru` first",
        beside.display()
    );
    beside
}

/// The binary under test, as a command.
pub fn naru() -> Command {
    Command::new(binary())
}

/// Runs a command to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Done {
    run_with_input(command, b"")
}

/// Runs a command to its end with this standard input.
#[track_caller]
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Done {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        // The command may not want all of it.
        drop(stdin.write_all(&input));
    });
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let code = finish(&mut child, command);
    drop(feeder.join());
    Done { code, stdout: stdout.join().expect("reader"), stderr: stderr.join().expect("reader") }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            drop(pipe.read_to_end(&mut bytes));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn finish(child: &mut Child, command: &Command) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let ended = until(COMMAND_LIMIT, || child.try_wait().expect("our own child"));
    match ended {
        Some(status) => status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        None => {
            drop(child.kill());
            drop(child.wait());
            panic!("{command:?} did not end within {COMMAND_LIMIT:?}");
        }
    }
}

/// Asks until there is an answer or the time is over.
pub fn until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Whether a program is installed.
pub fn installed(program: impl AsRef<OsStr>) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .any(|dir| dir.join(program.as_ref()).is_file())
}
