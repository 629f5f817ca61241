//! Acts: the user's terminal: raw mode, which is undone however the command ends, and its size.

use crate::exit::{ExitStatus, Failed};
use crate::printer;
use naru_errdefs::Fault;
use rustix::termios::{OptionalActions, Termios};
use std::io::{self, IsTerminal};

/// Raw mode of standard input; dropping it (a return, an error, a panic) restores what was.
#[derive(Debug)]
pub struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Switches standard input to raw mode.
    pub fn enter() -> Result<RawMode, Fault> {
        let stdin = rustix::stdio::stdin();
        let failed = |error: rustix::io::Errno| {
            Fault::io("cannot switch the terminal to raw mode", error.into())
        };
        let before = rustix::termios::tcgetattr(stdin).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(stdin, OptionalActions::Now, &raw).map_err(failed)?;
        Ok(RawMode { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.before)
            .ok();
    }
}

/// Asks for a line.
pub fn ask(question: &str) -> Result<String, Failed> {
    printer::out(question)?;
    let mut line = String::new();
    io::stdin()
        .read_line(&mut line)
        .map_err(|error| Fault::io("cannot read from the terminal", error))?;
    Ok(line.trim().to_owned())
}

/// Asks for a line that nobody shall see. The terminal sends every key by itself meanwhile, so that an interrupt does not
/// leave it silent.
pub fn ask_secret(question: &str) -> Result<String, Failed> {
    printer::out(question)?;
    let raw = RawMode::enter()?;
    let mut line = Vec::new();
    let end = loop {
        let mut byte = [0];
        match rustix::io::read(rustix::stdio::stdin(), &mut byte) {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => break Err(error),
        }
        match byte {
            // Enter, and the end of input.
            [b'\r' | b'\n' | 4] => break Ok(()),
            // Backspace takes the last character, not the last byte.
            [8 | 127] => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            // Control-U.
            [21] => line.clear(),
            // Control-C.
            [3] => {
                drop(raw);
                printer::out("\n")?;
                return Err(Failed::silent(ExitStatus(130)));
            }
            [byte] => line.push(byte),
        }
    };
    drop(raw);
    printer::out("\n")?;
    end.map_err(|error| Fault::io("cannot read from the terminal", error.into()))?;
    Ok(String::from_utf8(line).map_err(|_secret| Fault::invalid("the password is not UTF-8"))?)
}

/// Whether standard input is a terminal.
pub fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Rows and columns of the terminal that output goes to, if there is one.
pub fn size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(rustix::stdio::stdin()))
        .ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// Docker's word when `-t` and `-i` meet a standard input that is no terminal.
pub fn check_tty(attach_stdin: bool, tty: bool) -> Result<(), Fault> {
    if attach_stdin && tty && !stdin_is_terminal() {
        return Err(Fault::invalid("the input device is not a TTY")
            .with_hint("leave out `-t`, or run it from a terminal"));
    }
    Ok(())
}
