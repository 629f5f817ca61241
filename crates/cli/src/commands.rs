//! Acts: the tree of commands, and the way from words to the one that is meant.

mod absent;
mod build;
mod builder;
mod container;
mod copy;
mod each;
mod image;
mod inspect;
mod manifest;
mod network;
mod registry;
mod system;
mod volume;

use crate::Hooks;
use crate::context::{self, App, Host};
use crate::exit::{ExitStatus, Failed};
use crate::flags::{self, Flag, FlagError, Flags, Order, list, switch, value};
use crate::printer;
use naru_errdefs::{Fault, Kind};

/// A command or a group of them.
#[derive(Debug)]
pub struct Command {
    /// What is typed.
    pub name: &'static str,
    /// Other names in the same group.
    pub aliases: &'static [&'static str],
    /// Every full spelling, for the help.
    pub spellings: &'static [&'static str],
    /// What follows the name.
    pub usage: &'static str,
    /// What it does, for the help.
    pub about: &'static str,
    /// The flags, in parts that commands share.
    pub flags: &'static [&'static [Flag]],
    /// How many arguments it takes.
    pub arguments: Arguments,
    /// Where flags may stand.
    pub order: Order,
    /// What it does.
    pub action: Action,
}

/// What a command does.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Something.
    Run(fn(&App<'_>, &Flags) -> Result<ExitStatus, Failed>),
    /// It holds others.
    Group(&'static [&'static Command]),
    /// Known from docker, and not here; the text says what to do instead.
    Absent(&'static str),
}

/// How many arguments a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arguments {
    /// That many.
    Exactly(usize),
    /// That many or more.
    AtLeast(usize),
    /// None to that many.
    AtMost(usize),
    /// From the one to the other.
    Between(usize, usize),
}

impl Arguments {
    /// What is wrong with this many, in docker's words.
    fn refuse(self, count: usize) -> Option<String> {
        let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
        match self {
            Arguments::Exactly(0) | Arguments::AtMost(0) if count > 0 => {
                Some("accepts no arguments".to_owned())
            }
            Arguments::Exactly(n) if count != n => Some(format!("requires {n} {}", plural(n))),
            Arguments::AtLeast(n) if count < n => {
                Some(format!("requires at least {n} {}", plural(n)))
            }
            Arguments::AtMost(n) if count > n => {
                Some(format!("requires at most {n} {}", plural(n)))
            }
            Arguments::Between(low, high) if count < low || count > high => {
                Some(format!("requires at least {low} and at most {high} {}", plural(high)))
            }
            _ => None,
        }
    }
}

impl Command {
    /// Whether it holds others.
    pub fn is_group(&self) -> bool {
        matches!(self.action, Action::Group(_))
    }

    /// Whether it is only known to be refused.
    pub fn is_absent(&self) -> bool {
        matches!(self.action, Action::Absent(_))
    }

    fn is(&self, word: &str) -> bool {
        self.name == word || self.aliases.contains(&word)
    }
}

/// What most commands have in common.
const BASE: Command = Command {
    name: "",
    aliases: &[],
    spellings: &[],
    usage: "",
    about: "",
    flags: &[],
    arguments: Arguments::Exactly(0),
    order: Order::Mixed,
    action: Action::Absent(""),
};

static GLOBAL: &[Flag] = &[
    list("host", "list", "Daemon socket to connect to (unix:///path)").short('H'),
    switch("debug", "Enable debug mode").short('D').no_effect(),
    value(
        "log-level",
        "string",
        "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")",
    )
    .short('l'),
    switch("version", "Print version information and quit").short('v'),
    value("config", "string", "Location of client config files (default \"~/.docker\")"),
    value("context", "string", "Name of the context to use to connect to the daemon")
        .short('c')
        .refused("name the daemon with `-H unix://PATH` or the variable NARU_HOST"),
    switch("tls", "Use TLS").refused("forward the daemon's socket with `ssh -L` instead"),
    switch("tlsverify", "Use TLS and verify the remote")
        .refused("forward the daemon's socket with `ssh -L` instead"),
    value("tlscacert", "string", "Trust certs signed only by this CA")
        .refused("forward the daemon's socket with `ssh -L` instead"),
    value("tlscert", "string", "Path to TLS certificate file")
        .refused("forward the daemon's socket with `ssh -L` instead"),
    value("tlskey", "string", "Path to TLS key file")
        .refused("forward the daemon's socket with `ssh -L` instead"),
];
static GLOBAL_TABLE: &[&[Flag]] = &[GLOBAL];

static ROOT: Command = Command {
    name: "",
    usage: "[OPTIONS] COMMAND [ARG...]",
    about: "A whole container platform in one binary",
    action: Action::Group(MEMBERS),
    ..BASE
};

static CLIENT: Command = Command {
    name: "client",
    usage: "[-H HOST] COMMAND [ARG...]",
    about: "Run a command against a chosen daemon",
    ..BASE
};

static MEMBERS: &[&Command] = &[
    &builder::BUILDER,
    &builder::BUILDX,
    &container::CONTAINER,
    &image::IMAGE,
    &manifest::MANIFEST,
    &network::NETWORK,
    &system::SYSTEM,
    &volume::VOLUME,
    &container::RUN,
    &container::EXEC,
    &container::PS,
    &build::BUILD,
    &container::ATTACH,
    &container::CP,
    &container::CREATE,
    &container::DIFF,
    &container::EXPORT,
    &container::KILL,
    &container::LOGS,
    &container::PAUSE,
    &container::PORT,
    &container::RENAME,
    &container::RESTART,
    &container::RM,
    &container::START,
    &container::STATS,
    &container::STOP,
    &container::TOP,
    &container::UNPAUSE,
    &container::UPDATE,
    &container::WAIT,
    &copy::COPY,
    &image::HISTORY,
    &image::IMAGES,
    &image::IMPORT,
    &image::LOAD,
    &image::PULL,
    &image::PUSH,
    &image::RMI,
    &image::SAVE,
    &image::TAG,
    &inspect::INSPECT,
    &registry::LOGIN,
    &registry::LOGOUT,
    &registry::REGISTRY,
    &system::EVENTS,
    &system::INFO,
    &system::VERSION,
    &CLIENT,
    &absent::CHECKPOINT,
    &absent::COMMIT,
    &absent::COMPOSE,
    &absent::CONFIG,
    &absent::CONTEXT,
    &absent::NODE,
    &absent::PLUGIN,
    &absent::SEARCH,
    &absent::SECRET,
    &absent::SERVICE,
    &absent::STACK,
    &absent::SWARM,
    &absent::TRUST,
];

/// Runs the command that the words mean; the first one is the program's name.
pub fn run(words: &[String], hooks: Hooks) -> Result<ExitStatus, Failed> {
    let (first, rest) = match words.split_first() {
        Some((first, rest)) => (first.rsplit('/').next().unwrap_or("naru"), rest),
        None => ("naru", words),
    };
    let program = if first == "docker" { "docker" } else { "naru" };
    let flags = match flags::parse(GLOBAL_TABLE, Order::FlagsFirst, rest) {
        Ok(flags) => flags,
        Err(FlagError::Help) => return root_help(program),
        Err(error) => return Err(usage_failure(error, program, &ROOT)),
    };
    global(&flags, program, Outer::default(), hooks)
}

/// What was said before `client`.
#[derive(Clone, Copy, Default)]
struct Outer<'a> {
    host: Option<&'a str>,
    config: Option<&'a str>,
}

fn global(
    flags: &Flags,
    program: &str,
    outer: Outer<'_>,
    hooks: Hooks,
) -> Result<ExitStatus, Failed> {
    if flags.switch("version") {
        printer::out(&format!(
            "{} version {}, build {}\n",
            if program == "docker" { "Docker" } else { "Naru" },
            env!("CARGO_PKG_VERSION"),
            "naru"
        ))?;
        return Ok(ExitStatus::SUCCESS);
    }
    check_log_level(flags)?;
    let host = flags.text("host").or(outer.host);
    let config = flags.text("config").or(outer.config);
    let Some((word, rest)) = flags.args().split_first() else { return root_help(program) };
    if word == "help" {
        return help(program, rest);
    }
    if CLIENT.is(word) {
        let path = format!("{program} client");
        let inner = match flags::parse(GLOBAL_TABLE, Order::FlagsFirst, rest) {
            Ok(inner) => inner,
            Err(FlagError::Help) => return root_help(&path),
            Err(error) => return Err(usage_failure(error, &path, &CLIENT)),
        };
        return global(&inner, program, Outer { host, config }, hooks);
    }
    let (path, command, rest) = find(program, &ROOT, flags.args())?;
    let Action::Run(act) = command.action else { return show_group(&path, command, rest) };
    let given = match flags::parse(command.flags, command.order, rest) {
        Ok(given) => given,
        Err(FlagError::Help) => return command_help(&path, command, program),
        Err(error) => return Err(usage_failure(error, &path, command)),
    };
    if let Some(complaint) = command.arguments.refuse(given.args().len()) {
        let fault = Fault::invalid(format!("'{path}' {complaint}"));
        let mut failed = Failed::from(fault);
        failed.note = Some(usage_note(&path, command));
        return Err(failed);
    }
    let app =
        App::new(Host::choose(host, &context::variable)?, hooks, program).configured_in(config);
    act(&app, &given)
}

fn check_log_level(flags: &Flags) -> Result<(), Failed> {
    let Some(level) = flags.text("log-level") else { return Ok(()) };
    if ["debug", "info", "warn", "warning", "error", "fatal", "panic", "trace"].contains(&level) {
        return Ok(());
    }
    Err(Fault::invalid(format!("unable to parse logging level: {level}"))
        .with_hint("the levels are `debug`, `info`, `warn`, `error` and `fatal`")
        .into())
}

/// Follows the words down the tree.
fn find<'a>(
    program: &str,
    root: &'static Command,
    words: &'a [String],
) -> Result<(String, &'static Command, &'a [String]), Failed> {
    let mut path = program.to_owned();
    let mut command = root;
    let mut rest = words;
    while let Action::Group(members) = command.action {
        let Some((word, after)) = rest.split_first() else { break };
        if word.starts_with('-') {
            break;
        }
        let Some(next) = members.iter().find(|member| member.is(word)) else {
            return Err(unknown(&path, word, members));
        };
        path = format!("{path} {word}");
        command = next;
        rest = after;
    }
    if let Action::Absent(instead) = command.action {
        let fault = Fault::unsupported(format!("`{path}` is not supported yet")).with_hint(instead);
        return Err(fault.into());
    }
    Ok((path, command, rest))
}

fn unknown(path: &str, word: &str, members: &[&'static Command]) -> Failed {
    let near = flags::nearest(word, members.iter().map(|member| member.name));
    let mut fault = Fault::new(Kind::InvalidInput, format!("unknown command: {path} {word}"));
    if let Some(near) = near {
        fault = fault.with_hint(format!("did you mean `{path} {near}`?"));
    }
    let mut failed = Failed::from(fault);
    failed.note = Some(format!("\nRun '{path} --help' for more information"));
    failed
}

fn usage_note(path: &str, command: &Command) -> String {
    format!("\n{}\n\nRun '{path} --help' for more information", flags::usage_line(path, command))
}

/// Pure: flags that are not understood end with 125, as in docker.
pub(crate) fn usage_failure(error: FlagError, path: &str, command: &Command) -> Failed {
    let kind = match &error {
        FlagError::Refused { .. } => Kind::Unsupported,
        _ => Kind::InvalidInput,
    };
    let mut fault = Fault::new(kind, error.to_string());
    if let Some(hint) = error.hint() {
        fault = fault.with_hint(hint);
    }
    let mut failed = Failed::with_status(fault, ExitStatus::NOT_RUN);
    failed.note = Some(usage_note(path, command));
    failed
}

impl From<FlagError> for Failed {
    fn from(error: FlagError) -> Failed {
        let mut fault = Fault::invalid(error.to_string());
        if let Some(hint) = error.hint() {
            fault = fault.with_hint(hint);
        }
        Failed::with_status(fault, ExitStatus::NOT_RUN)
    }
}

fn root_help(path: &str) -> Result<ExitStatus, Failed> {
    show_group(path, &ROOT, &[])
}

fn help(program: &str, words: &[String]) -> Result<ExitStatus, Failed> {
    let (path, command, _) = find(program, &ROOT, words)?;
    if command.is_group() {
        show_group(&path, command, &[])
    } else {
        command_help(&path, command, program)
    }
}

fn show_group(path: &str, command: &Command, rest: &[String]) -> Result<ExitStatus, Failed> {
    let Action::Group(members) = command.action else { return Ok(ExitStatus::SUCCESS) };
    if let Some(word) = rest.iter().find(|word| !["--help", "-h"].contains(&word.as_str())) {
        let name = word.trim_start_matches('-').to_owned();
        return Err(usage_failure(FlagError::Unknown { name, near: None }, path, command));
    }
    let extra = if std::ptr::eq(command, &raw const ROOT) { GLOBAL } else { &[] };
    printer::out(&flags::group_help(path, command, members, extra))?;
    Ok(ExitStatus::SUCCESS)
}

fn command_help(path: &str, command: &Command, program: &str) -> Result<ExitStatus, Failed> {
    let aliases: Vec<String> =
        command.spellings.iter().map(|spelling| format!("{program} {spelling}")).collect();
    printer::out(&flags::command_help(path, command, &aliases))?;
    Ok(ExitStatus::SUCCESS)
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
