//! The Dockerfile language: text to stages and instructions, variables, the graph of stages, `.dockerignore`, and the build checks.
//!
//! Pure. Nothing here reads a file, a clock or an environment: the caller brings the text and the values of variables.
//!
//! ```text
//! bytes ─▶ lines (continuations, comments, heredocs) ─▶ words, flags, forms ─▶ Dockerfile { arguments, stages }
//!                                                                              ├─▶ graph: which stages a target needs
//!                                                                              ├─▶ scope + expand: what each instruction means
//!                                                                              └─▶ check: what a reviewer would say
//! ```

mod ast;
pub mod check;
mod directive;
mod expand;
mod expose;
mod graph;
mod heredoc;
pub mod ignore;
mod mount;
mod parse;
mod problem;
mod raw;
mod resolve;
mod scope;
mod suggest;
mod words;

pub use ast::{
    Add, Argument, Check, Command, Copy, Device, Dockerfile, Files, From, Healthcheck, Heredoc,
    InlineFile, Instruction, KeyValue, MountFlag, Onbuild, Run, RunNetwork, RunSecurity, Script,
    Span, Stage, Statement, script,
};
pub use directive::{CheckDirective, Directives, Escape, is_dockerfile};
pub use expand::{ExpandError, Expanded, Expander};
pub use expose::{Exposed, exposed};
pub use graph::{Graph, Origin};
pub use mount::{Mount, MountError, MountKind, Sharing};
pub use parse::{parse, parse_trigger};
pub use problem::{Problem, Problems};
pub use scope::{Base, Given, Globals, PREDEFINED, Scope};
