//! The command line: docker's commands, flags, messages and exit statuses, over the Engine API.
//!
//! Acts: talks to a daemon and to the terminal. What can be decided without them is in [`flags`], [`opts`], [`render`]
//! and [`exit`], which are pure. There is no other way to a daemon than its API: local and remote differ in the endpoint.

pub mod build_context;
pub mod commands;
pub mod context;
mod docker_config;
pub mod exit;
pub mod flags;
pub mod opts;
pub mod printer;
pub mod registry_access;
pub mod render;
mod session;
mod terminal;
mod unpacking;

pub use exit::ExitStatus;

use exit::Failed;
use naru_errdefs::Fault;
use registry_access::{RegistryAccess, RegistryPlace};
use std::ffi::OsString;
use std::path::Path;

/// What the binary does for the command line.
#[derive(Debug, Clone, Copy)]
pub struct Hooks {
    /// Starts the local daemon on this socket and returns once it answers.
    pub start_daemon: fn(&Path) -> Result<(), Fault>,
    /// The way to a registry that is not a daemon's business.
    pub registry: fn(RegistryPlace) -> Result<Box<dyn RegistryAccess>, Fault>,
}

/// Runs one command line, with the program's name in front.
pub fn main(args: Vec<OsString>, hooks: Hooks) -> ExitStatus {
    let words: Result<Vec<String>, Fault> = args.into_iter().map(word).collect();
    let result = words.map_err(Failed::from).and_then(|words| commands::run(&words, hooks));
    match result {
        Ok(status) => status,
        Err(failed) => {
            if let Some(fault) = &failed.fault {
                printer::report(fault);
            }
            if let Some(note) = &failed.note {
                printer::note(note);
            }
            failed.status
        }
    }
}

fn word(word: OsString) -> Result<String, Fault> {
    word.into_string()
        .map_err(|word| Fault::invalid(format!("argument `{}` is not UTF-8", word.display())))
}
