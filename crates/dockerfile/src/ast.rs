//! Pure: what a Dockerfile says, as values: stages, statements, instructions with their flags.
//!
//! Nothing here is expanded: variables stand as written, and [`crate::expand`] resolves them where the language allows it.

use crate::{Directives, Mount, MountError, Problem};
use std::time::Duration;

/// The lines of the file that something stands on; both ends count from 1 and belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first line.
    pub start: usize,
    /// The last line.
    pub end: usize,
}

/// The comment that starts with a name, without the name.
pub(crate) fn description(comments: &[String], name: &str) -> Option<String> {
    comments.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned)
}

impl Stage {
    /// The comment above the stage that starts with its name, without the name.
    pub fn description(&self) -> Option<String> {
        description(&self.from.comments, self.name.as_deref()?)
    }
}

/// What a `RUN` with its heredocs executes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// These words, as they stand.
    Exec(Vec<String>),
    /// This text, handed to the shell of the stage.
    Shell(String),
    /// A single heredoc that starts with `#!`: a file of this name and content, mode 0755, executed by its own interpreter.
    File {
        /// The heredoc's name.
        name: String,
        /// Its content.
        content: String,
    },
}

/// What is executed for a command with its heredocs: a heredoc alone is the script itself; beside other words it is left to the shell.
pub fn script(command: &Command, heredocs: &[Heredoc]) -> Script {
    let text = match command {
        Command::Exec(words) => return Script::Exec(words.clone()),
        Command::Shell(text) => text,
    };
    match heredocs {
        [] => Script::Shell(text.clone()),
        [document, ..] if crate::heredoc::opener(text).is_some() => {
            let content = document.body();
            if content.starts_with("#!") {
                Script::File { name: document.name.clone(), content }
            } else {
                Script::Shell(content)
            }
        }
        documents => {
            let mut whole = text.clone();
            for document in documents {
                whole.push('\n');
                whole.push_str(&document.content);
                whole.push_str(&document.name);
            }
            Script::Shell(whole)
        }
    }
}

/// A whole Dockerfile.
#[derive(Debug, Clone, PartialEq)]
pub struct Dockerfile {
    /// The parser directives at its top.
    pub directives: Directives,
    /// The `ARG`s before the first `FROM`: the only thing that may stand there.
    pub arguments: Vec<Statement<Vec<Argument>>>,
    /// The stages in the order of the file; there is at least one.
    pub stages: Vec<Stage>,
    /// What is accepted today but frowned upon by the parser itself (empty lines inside a continuation).
    pub warnings: Vec<Problem>,
}

/// One stage: a `FROM` and everything up to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The name after `AS`, in lower case.
    pub name: Option<String>,
    /// The image or stage it starts from, as written; may hold variables of the global scope.
    pub base: String,
    /// `--platform`, as written; may hold variables of the global scope.
    pub platform: Option<String>,
    /// The `FROM` itself, where it stands and how it is written.
    pub from: Statement<From>,
    /// The instructions that follow, in order.
    pub steps: Vec<Statement<Instruction>>,
}

/// What only a check wants to know about a `FROM`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct From {
    /// The word between base and name as written (`AS`, `as`).
    pub as_word: Option<String>,
    /// The name as written.
    pub written_name: Option<String>,
}

/// One statement of the file: what it says, and where and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<T> {
    /// What it says.
    pub what: T,
    /// The lines it stands on, with its continuations and heredocs.
    pub span: Span,
    /// The instruction word as written (`RUN`, `run`).
    pub keyword: String,
    /// The statement as one line: continuations joined, heredoc bodies left out. This is what history and progress show.
    pub text: String,
    /// The comments directly above, without their `#`.
    pub comments: Vec<String>,
    /// The bodies that follow the statement.
    pub heredocs: Vec<Heredoc>,
}

/// An inline document: `<<NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it.
    pub name: String,
    /// The file descriptor in front of `<<` (0 when none is written).
    pub descriptor: u32,
    /// Whether variables in the body are expanded: no part of the name is quoted.
    pub expand: bool,
    /// Whether leading tabs are removed: `<<-`.
    pub chomp: bool,
    /// The body with its line ends, tabs not yet removed.
    pub content: String,
}

/// A command, in one of the two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A JSON array: executed as it stands.
    Exec(Vec<String>),
    /// Anything else: handed to the shell of the stage.
    Shell(String),
}

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// `ENV`.
    Env(Vec<KeyValue>),
    /// `ARG`.
    Arg(Vec<Argument>),
    /// `LABEL`.
    Label(Vec<KeyValue>),
    /// `RUN`.
    Run(Run),
    /// `COPY`.
    Copy(Copy),
    /// `ADD`.
    Add(Add),
    /// `CMD`.
    Cmd(Command),
    /// `ENTRYPOINT`.
    Entrypoint(Command),
    /// `SHELL`: always a JSON array, never empty.
    Shell(Vec<String>),
    /// `WORKDIR`.
    Workdir(String),
    /// `USER`.
    User(String),
    /// `EXPOSE`: the words as written.
    Expose(Vec<String>),
    /// `VOLUME`.
    Volume(Vec<String>),
    /// `STOPSIGNAL`.
    StopSignal(String),
    /// `HEALTHCHECK`.
    Healthcheck(Healthcheck),
    /// `ONBUILD`.
    Onbuild(Onbuild),
    /// `MAINTAINER`, deprecated.
    Maintainer(String),
}

/// A pair of `ENV` or `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key as written.
    pub key: String,
    /// The value as written, quotes included.
    pub value: String,
    /// Whether it is the old form without `=` (`ENV key value`).
    pub legacy: bool,
}

/// One variable of an `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Its default as written, quotes included.
    pub default: Option<String>,
    /// The comment above that starts with its name, without the name.
    pub description: Option<String>,
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What to run; the heredocs are with the statement, and [`script`] puts both together.
    pub command: Command,
    /// `--mount`, in order, not yet expanded.
    pub mounts: Vec<MountFlag>,
    /// `--network`.
    pub network: RunNetwork,
    /// `--security`.
    pub security: RunSecurity,
    /// `--device`, in order, as written.
    pub devices: Vec<Device>,
}

/// One `--mount` as written. Its values may hold variables, so it becomes a [`Mount`] only when a scope is at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    /// The value of the flag.
    pub text: String,
    /// Its `from` (which never holds a variable): a stage, a number, a context or an image.
    pub from: Option<String>,
}

impl MountFlag {
    /// The mount, its values expanded with `expand`.
    pub fn resolve(
        &self,
        expand: &mut dyn FnMut(&str) -> Result<String, crate::ExpandError>,
    ) -> Result<Mount, MountError> {
        crate::mount::parse(&self.text, expand)
    }
}

/// `RUN --device`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device's name, as the container device interface spells it.
    pub name: String,
    /// Whether its absence fails the build.
    pub required: bool,
}

/// `RUN --network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunNetwork {
    /// What the build was asked for.
    Default,
    /// None but loopback.
    None,
    /// The host's own.
    Host,
}

/// `RUN --security`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunSecurity {
    /// The sandbox of every container.
    Sandbox,
    /// All capabilities; only where the build allows it.
    Insecure,
}

/// What `COPY` and `ADD` have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The paths (and for `ADD` the addresses) as written, in order.
    pub sources: Vec<String>,
    /// The files given as heredocs, in order.
    pub inline: Vec<InlineFile>,
    /// Where they go.
    pub destination: String,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--exclude`, in order.
    pub exclude: Vec<String>,
}

/// A file whose content stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// Its name: the heredoc's.
    pub name: String,
    /// Its content, leading tabs already removed where `<<-` asks for it.
    pub content: String,
    /// Whether variables in it are expanded.
    pub expand: bool,
}

/// `COPY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// What goes where, owned by whom.
    pub files: Files,
    /// `--from`: a stage, a number, a context or an image; absent for the build context.
    pub from: Option<String>,
    /// `--parents`.
    pub parents: bool,
}

/// `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// What goes where, owned by whom.
    pub files: Files,
    /// `--checksum`, as written.
    pub checksum: Option<String>,
    /// `--keep-git-dir`, when given.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`, when given.
    pub unpack: Option<bool>,
}

/// `HEALTHCHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `NONE`: the base image's check is taken away.
    None,
    /// `CMD`.
    Check(Check),
}

/// A health check; what is absent is left to the engine's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is run.
    pub command: Command,
    /// `--interval`.
    pub interval: Option<Duration>,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--start-period`.
    pub start_period: Option<Duration>,
    /// `--start-interval`.
    pub start_interval: Option<Duration>,
    /// `--retries`; absent or 0 is the default.
    pub retries: Option<u32>,
}

/// `ONBUILD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// What the image's configuration records: the statement after `ONBUILD`, with its heredocs; [`crate::parse_trigger`] reads it back.
    pub expression: String,
    /// The same, parsed.
    pub trigger: Box<Statement<Instruction>>,
}
