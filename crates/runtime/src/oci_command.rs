//! The OCI runtime command line (`naru oci`), as others drive a runtime. Acts.
//!
//! ```text
//! ROOT/ID/state.json   what the container is; written once init waits at its gate
//! ROOT/ID/gate         a named pipe; there as long as the container is created and not started
//!
//! create ──▶ created ──start──▶ running ──▶ stopped ──delete──▶ gone
//! ```
//!
//! No process of ours stays: `create` leaves init to whoever adopts its children, and the state is what `/proc` says.

mod arguments;
mod create;
mod delete;
mod describe;
mod exec;
mod follow;
mod kill;
mod list;
mod log;
mod resources;
mod start;
mod state;
mod time;

use arguments::{Arguments, Parsed};
use naru_errdefs::{Fault, Kind, Report};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Where states are kept when nobody says where.
const DEFAULT_ROOT: &str = "/run/naru-oci";

/// The version that is told, and the specification that is kept to.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const SPECIFICATION: &str = "1.2.0";

/// Runs one command: the words after `naru oci`. Must be called while the process has one thread.
pub fn oci_command(words: Vec<OsString>) -> ExitCode {
    let mut log = log::Log::default();
    match run(words, &mut log) {
        Ok(code) => ExitCode::from(code),
        Err(fault) => {
            log.error(&fault);
            drop(writeln!(std::io::stderr(), "error: {}", Report(&fault)));
            ExitCode::from(exit_code(fault.kind()))
        }
    }
}

/// What scripts and engines tell a failed command by.
fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::CommandNotFound => 127,
        Kind::CommandNotExecutable => 126,
        _ => 1,
    }
}

/// What is the same for every command.
struct Global {
    root: PathBuf,
}

fn run(words: Vec<OsString>, log: &mut log::Log) -> Result<u8, Fault> {
    let mut words = arguments::text(words)?;
    let global = Arguments::parse(&mut words, arguments::GLOBAL)?;
    log.open(&global)?;
    for refused in ["systemd-cgroup", "criu"] {
        if global.has(refused) {
            let message = format!("the option `--{refused}` is not supported");
            return Err(
                Fault::unsupported(message).with_hint("leave it out; cgroups are made directly")
            );
        }
    }
    let root = PathBuf::from(global.value("root").unwrap_or(DEFAULT_ROOT));
    let context = Global { root };
    if global.has("version") {
        return describe::version();
    }
    if global.has("help") || words.is_empty() {
        return describe::help();
    }
    let command = words.remove(0);
    let known = arguments::of(&command).ok_or_else(|| {
        Fault::invalid(format!("`{command}` is not a command of an OCI runtime"))
            .with_hint("see `naru oci --help`")
    })?;
    let mut parsed = Parsed::new(&mut words, known)?;
    if parsed.options.has("help") {
        return describe::help();
    }
    match command.as_str() {
        "create" => create::create(&context, &mut parsed),
        "run" => create::run(&context, &mut parsed),
        "start" => start::start(&context, &mut parsed),
        "state" => state::print(&context, &mut parsed),
        "kill" => kill::kill(&context, &mut parsed),
        "delete" => delete::delete(&context, &mut parsed),
        "exec" => exec::exec(&context, &mut parsed),
        "list" => list::list(&context, &mut parsed),
        "ps" => list::processes(&context, &mut parsed),
        "pause" => kill::pause(&context, &mut parsed),
        "resume" => kill::resume(&context, &mut parsed),
        "features" => describe::features(),
        _ => describe::version(),
    }
}

/// Keeps containers from reaching our binary; where that cannot be done, they still cannot be told to execute it.
fn protect() {
    if naru_kernel::exec::protect_self().is_err() {
        warn("cannot run from a protected copy of the binary");
    }
}

/// What could not be honoured to the letter, and does no harm.
fn warn(text: &str) {
    drop(writeln!(std::io::stderr(), "warning: {text}"));
}

fn say(text: &str) -> Result<u8, Fault> {
    // Who closed standard output wants no more of it.
    drop(std::io::stdout().write_all(text.as_bytes()));
    Ok(0)
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Fault {
    let what = what.into();
    move |error| Fault::io(what, error)
}
