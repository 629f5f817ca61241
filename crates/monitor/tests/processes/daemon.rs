//! A daemon as far as the monitor sees it: keeps descriptors, hands them over, knows exits. Acts.

use crate::fake::FakePlan;
use naru_kernel::{pidfd, process, splice};
use naru_monitor::client::{Attachment, Client, Handles, Message};
use naru_monitor::log_file::{ReadOptions, Reader};
use naru_monitor::protocol::{
    AttachSpec, Exit, ExitStatus, LogSpec, Position, ProcessKey, ProcessSpec, Refusal, Stream,
};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Daemon {
    pub dir: TempDir,
    client: Arc<Client>,
    messages: Receiver<Message>,
    receiver: Option<JoinHandle<()>>,
    pub monitor: u32,
    pub handles: BTreeMap<ProcessKey, Handles>,
    pub exits: BTreeMap<ProcessKey, Exit>,
    pub warnings: Vec<String>,
    pub failures: BTreeMap<u64, (Refusal, String)>,
    /// How often an exit was told.
    pub told: usize,
    done: Vec<u64>,
    attached: BTreeMap<u64, (u64, u64)>,
    listed: bool,
    welcomes: usize,
    gone: bool,
    request: u64,
}

fn receive(client: Arc<Client>) -> (Receiver<Message>, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        loop {
            let message = client.receive().unwrap_or(Message::Gone);
            let gone = matches!(message, Message::Gone);
            if sender.send(message).is_err() || gone {
                return;
            }
        }
    });
    (receiver, thread)
}

impl Daemon {
    pub fn new() -> Daemon {
        process::become_subreaper().unwrap();
        let dir = TempDir::new().unwrap();
        let client = Arc::new(
            Client::spawn(&std::env::current_exe().unwrap(), &dir.path().join("monitor.sock"))
                .unwrap(),
        );
        let monitor = client.spawned_pid().unwrap();
        let (messages, receiver) = receive(Arc::clone(&client));
        let mut daemon = Daemon {
            dir,
            client,
            messages,
            receiver: Some(receiver),
            monitor,
            handles: BTreeMap::new(),
            exits: BTreeMap::new(),
            warnings: Vec::new(),
            failures: BTreeMap::new(),
            told: 0,
            done: Vec::new(),
            attached: BTreeMap::new(),
            listed: false,
            welcomes: 0,
            gone: false,
            request: 0,
        };
        daemon.greet();
        daemon
    }

    fn greet(&mut self) {
        let before = self.welcomes;
        let request = self.next();
        self.client.hello(request).unwrap();
        self.wait(|daemon| daemon.welcomes > before);
    }

    fn next(&mut self) -> u64 {
        self.request += 1;
        self.request
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("monitor.sock")
    }

    /// Takes one message in.
    fn take(&mut self, message: Message) {
        match message {
            Message::Welcome { pid, .. } => {
                self.monitor = pid;
                self.welcomes += 1;
            }
            Message::Started { handles, .. } => {
                self.handles.insert(handles.spec.key.clone(), handles);
            }
            Message::Listed { handles, exit, .. } => {
                if let Some(exit) = exit {
                    self.exits.insert(handles.spec.key.clone(), exit);
                }
                self.handles.insert(handles.spec.key.clone(), handles);
            }
            Message::ListEnd { .. } => self.listed = true,
            Message::Attached { request, stdout, stderr } => {
                self.attached.insert(request, (stdout, stderr));
            }
            Message::Done { request } => self.done.push(request),
            Message::Failed { request, refusal, message } => {
                self.failures.insert(request, (refusal, message));
            }
            Message::Exited { key, exit } => {
                self.told += 1;
                if let Some(handles) = self.handles.get(&key) {
                    handles.reap();
                }
                self.exits.insert(key, exit);
            }
            Message::Warning { message } => self.warnings.push(message),
            Message::Gone => self.gone = true,
        }
    }

    /// Waits until something holds; fails the test if it takes too long.
    #[track_caller]
    pub fn wait(&mut self, mut until: impl FnMut(&Daemon) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !until(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(left.min(Duration::from_millis(20))) {
                Ok(message) => self.take(message),
                Err(_) if self.gone && !until(self) => {
                    panic!("the monitor is gone: {}", self.panics())
                }
                Err(_) => {}
            }
            assert!(
                !left.is_zero(),
                "waited for too long; exits {:?}, failures {:?}, warnings {:?}",
                self.exits,
                self.failures,
                self.warnings
            );
        }
    }

    fn panics(&self) -> String {
        std::fs::read_to_string(self.path("monitor.panic")).unwrap_or_default()
    }

    pub fn spec(&self, name: &str) -> ProcessSpec {
        ProcessSpec {
            key: ProcessKey::container(name),
            terminal: false,
            stdin: false,
            log: Some(LogSpec { max_size: None, ..LogSpec::bounded(self.log(name)) }),
            exit_record: Some(self.path(&format!("{name}.exit"))),
            tied: false,
        }
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}-json.log"))
    }

    /// Asks for a process without waiting for it; the number of the request.
    pub fn ask(&mut self, spec: &ProcessSpec, plan: &FakePlan, readers: &[Attachment]) -> u64 {
        let request = self.next();
        let plan = serde_json::to_vec(plan).unwrap();
        self.client.start_plan(request, spec, &plan, None, readers).unwrap();
        request
    }

    #[track_caller]
    pub fn start(&mut self, spec: &ProcessSpec, command: &[&str], readers: &[Attachment]) {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let plan = FakePlan { command, terminal: spec.terminal, ..FakePlan::default() };
        self.ask(spec, &plan, readers);
        let key = spec.key.clone();
        self.wait(|daemon| {
            assert!(daemon.failures.is_empty(), "{:?}", daemon.failures);
            daemon.handles.contains_key(&key)
        });
    }

    pub fn shell(&mut self, name: &str, script: &str) {
        let spec = self.spec(name);
        self.start(&spec, &["/bin/sh", "-c", script], &[]);
    }

    /// Starts a writer of numbered lines.
    pub fn writer(&mut self, name: &str, count: u64, code: u8, pause: u64) {
        let spec = self.spec(name);
        self.write_with(&spec, count, (code, pause), &[]);
    }

    pub fn write_with(
        &mut self,
        spec: &ProcessSpec,
        count: u64,
        (code, pause): (u8, u64),
        readers: &[Attachment],
    ) {
        let program = std::env::current_exe().unwrap();
        let words = [count, u64::from(code), pause].map(|number| number.to_string());
        let [count, code, pause] = &words;
        self.start(spec, &[program.to_str().unwrap(), "write", count, code, pause], readers);
    }

    #[track_caller]
    pub fn exit_of(&mut self, name: &str) -> ExitStatus {
        let key = ProcessKey::container(name);
        self.wait(|daemon| daemon.exits.contains_key(&key));
        self.exits[&key].status
    }

    pub fn forget(&mut self, name: &str) {
        let request = self.next();
        self.client.forget(request, &ProcessKey::container(name)).unwrap();
        self.wait_done(request);
        self.handles.remove(&ProcessKey::container(name));
    }

    pub fn wait_done(&mut self, request: u64) {
        self.wait(|daemon| {
            assert!(!daemon.failures.contains_key(&request), "{:?}", daemon.failures);
            daemon.done.contains(&request)
        });
    }

    pub fn refused(&mut self, request: u64) -> (Refusal, String) {
        self.wait(|daemon| daemon.failures.contains_key(&request));
        self.failures.remove(&request).unwrap()
    }

    pub fn try_forget(&mut self, name: &str) -> u64 {
        let request = self.next();
        self.client.forget(request, &ProcessKey::container(name)).unwrap();
        request
    }

    pub fn close_stdin(&mut self, name: &str) {
        let key = ProcessKey::container(name);
        let request = self.next();
        self.client.close_stdin(request, &key).unwrap();
        self.wait_done(request);
        self.handles.get_mut(&key).unwrap().stdin = None;
    }

    pub fn attach(&mut self, name: &str, reader: &Attachment) -> (u64, u64) {
        let request = self.next();
        self.client.attach(request, &ProcessKey::container(name), reader).unwrap();
        self.wait(|daemon| daemon.attached.contains_key(&request));
        self.attached[&request]
    }

    pub fn detach(&mut self, name: &str, attachment: u64) {
        let request = self.next();
        self.client.detach(request, &ProcessKey::container(name), attachment).unwrap();
        self.wait_done(request);
    }

    /// Kills the monitor and hands everything over to a new one. `readers` make the attachments that go along.
    pub fn replace_monitor(&mut self, mut readers: impl FnMut(&ProcessKey) -> Vec<Attachment>) {
        let victim = pidfd::open(self.monitor).unwrap();
        pidfd::send_signal(&victim, 9).unwrap();
        let deadline = Instant::now() + LIMIT;
        while !self.gone {
            match self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(message) => self.take(message),
                Err(error) => panic!("the killed monitor is still there: {error}"),
            }
        }
        self.join();
        let client = Client::spawn(&std::env::current_exe().unwrap(), &self.socket()).unwrap();
        self.connect(client);
        self.greet();
        let handles = std::mem::take(&mut self.handles);
        let count = handles.len();
        for (key, handles) in &handles {
            let request = self.next();
            self.client.adopt(request, handles, &readers(key)).unwrap();
        }
        self.wait(|daemon| {
            assert!(daemon.failures.is_empty(), "{:?}", daemon.failures);
            daemon.handles.len() == count
        });
    }

    /// What happens when the daemon is killed: all its copies are closed, and the next one asks.
    pub fn replace_daemon(&mut self) {
        self.client.disconnect();
        self.join();
        self.handles.clear();
        self.exits.clear();
        self.connect(Client::connect(&self.socket()).unwrap());
        self.greet();
        self.list();
    }

    pub fn list(&mut self) {
        self.listed = false;
        let request = self.next();
        self.client.list(request).unwrap();
        self.wait(|daemon| daemon.listed);
    }

    pub fn disconnect(&mut self) {
        self.client.disconnect();
        self.join();
    }

    pub fn upgrade(&mut self, program: &Path) -> u64 {
        let request = self.next();
        let program = OwnedFd::from(std::fs::File::open(program).unwrap());
        self.client.upgrade(request, std::os::fd::AsFd::as_fd(&program)).unwrap();
        request
    }

    pub fn welcomes(&self) -> usize {
        self.welcomes
    }

    fn connect(&mut self, client: Client) {
        self.client = Arc::new(client);
        let (messages, receiver) = receive(Arc::clone(&self.client));
        self.messages = messages;
        self.receiver = Some(receiver);
        self.gone = false;
    }

    fn join(&mut self) {
        if let Some(receiver) = self.receiver.take() {
            receiver.join().unwrap();
        }
    }

    /// The text of a stream in a log.
    pub fn logged(&self, name: &str, stream: Stream) -> String {
        let mut reader = Reader::open(&self.log(name), ReadOptions::default()).unwrap();
        std::iter::from_fn(|| reader.next_record().unwrap())
            .filter(|record| record.stream == stream)
            .map(|record| record.text)
            .collect()
    }

    /// A writer's log holds each line once and in order, and its exit code is right.
    #[track_caller]
    pub fn check_writer(&mut self, name: &str, count: u64, code: u8) {
        assert_eq!(self.exit_of(name), ExitStatus::Code(i32::from(code)), "{name}");
        let expected: String = (0..count).map(|number| format!("out {number}\n")).collect();
        check_same(name, &self.logged(name, Stream::Stdout), &expected);
        let expected: String =
            (0..count).step_by(7).map(|number| format!("err {number}\n")).collect();
        check_same(name, &self.logged(name, Stream::Stderr), &expected);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // What still runs is ours to end; the monitor ends on its own when nothing is left, but not soon enough.
        for handles in self.handles.values() {
            pidfd::send_signal(&handles.pidfd, 9).ok();
        }
        if let Ok(monitor) = pidfd::open(self.monitor) {
            pidfd::send_signal(&monitor, 9).ok();
            naru_kernel::poll::readable(std::os::fd::AsFd::as_fd(&monitor), Some(LIMIT)).ok();
            pidfd::reap(&monitor).ok();
        }
        self.client.disconnect();
        self.join();
        for handles in self.handles.values() {
            let ended =
                naru_kernel::poll::readable(std::os::fd::AsFd::as_fd(&handles.pidfd), Some(LIMIT));
            if ended.unwrap_or(false) {
                handles.reap();
            }
        }
    }
}

/// Compares long texts without printing them.
#[track_caller]
pub fn check_same(name: &str, actual: &str, expected: &str) {
    if actual == expected {
        return;
    }
    let (mut left, mut right) = (actual.lines(), expected.lines());
    let mut number = 0;
    loop {
        let (left, right) = (left.next(), right.next());
        assert_eq!(left, right, "{name}: line {number} of {}", expected.lines().count());
        number += 1;
        assert!(left.is_some(), "{name}: the ends of lines differ");
    }
}

/// A reader: its attachment, and the ends to read from.
pub fn reader(id: u64, stdout: Position, stderr: Position) -> (Attachment, Pipes) {
    let (stdout_read, stdout_write) = splice::pipe().unwrap();
    let (stderr_read, stderr_write) = splice::pipe().unwrap();
    let spec = AttachSpec { attachment: id, stdout: Some(stdout), stderr: Some(stderr) };
    let attachment = Attachment { spec, stdout: Some(stdout_write), stderr: Some(stderr_write) };
    (attachment, Pipes { stdout: stdout_read.into(), stderr: stderr_read.into() })
}

pub struct Pipes {
    pub stdout: std::fs::File,
    pub stderr: std::fs::File,
}

impl Pipes {
    /// Reads both to their ends.
    pub fn read(self) -> (String, String) {
        let Pipes { mut stdout, mut stderr } = self;
        let thread = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        (text, thread.join().unwrap())
    }
}
