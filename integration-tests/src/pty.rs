//! A command on a pseudo terminal, for tests of what people see. Acts.

use crate::run::until;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A command whose terminal the test holds.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    master: File,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts a command on a terminal of 24 lines and 80 columns.
    #[track_caller]
    pub fn start(command: &mut Command) -> Terminal {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&master).expect("a pty");
        unlockpt(&master).expect("a pty");
        let name = ptsname(&master, Vec::new())
            .expect("a pty has a name")
            .into_string()
            .expect("a plain name");
        let slave: OwnedFd =
            File::options().read(true).write(true).open(name).expect("the pty's other side").into();
        let size = rustix::termios::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&slave, size).expect("a terminal size");
        let copy = || Stdio::from(slave.try_clone().expect("a descriptor"));
        command.stdin(copy()).stdout(copy()).stderr(copy());
        // The session and controlling terminal come from busybox's `setsid -c`, so that no code runs between fork and exec.
        let mut wrapped = Command::new("/bin/busybox");
        wrapped.args(["setsid", "-c"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped.env("TERM", "xterm").stdin(copy()).stdout(copy()).stderr(copy());
        let child = wrapped.spawn().expect("the command starts");
        drop(wrapped);
        drop(slave);
        let master = File::from(master);
        let mut reader = master.try_clone().expect("a descriptor");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = [0u8; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if let (Ok(mut seen), Some(bytes)) = (sink.lock(), buffer.get(..count)) {
                    seen.extend_from_slice(bytes);
                }
            }
        });
        Terminal { child, master, seen }
    }

    /// Types text.
    #[track_caller]
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("the terminal is open");
    }

    /// Everything shown so far.
    pub fn screen(&self) -> String {
        let seen = self.seen.lock().expect("no reader panics");
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Waits until the text was shown.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        let shown = until(Duration::from_secs(20), || self.screen().contains(text).then_some(()));
        assert!(shown.is_some(), "`{text}` was not shown; the screen has:\n{}", self.screen());
    }

    /// Changes the size.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size =
            rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).expect("a terminal size");
    }

    /// Waits for the end and returns the exit code.
    #[track_caller]
    pub fn wait(mut self) -> i32 {
        let ended =
            until(Duration::from_secs(30), || self.child.try_wait().expect("our own child"));
        match ended {
            Some(status) => status.code().unwrap_or(255),
            None => {
                drop(self.child.kill());
                drop(self.child.wait());
                panic!("the command did not end; the screen has:\n{}", self.screen());
            }
        }
    }
}
