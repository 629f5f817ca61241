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
mod directive;
mod expand;
mod mount;
mod problem;

pub use ast::{
    Add, Argument, Check, Command, Copy, Device, Dockerfile, Files, From, Healthcheck, Heredoc,
    InlineFile, Instruction, KeyValue, MountFlag, Onbuild, Run, RunNetwork, RunSecurity, Span,
    Stage, Statement,
};
pub use directive::{CheckDirective, Directives, Escape};
pub use expand::ExpandError;
pub use mount::{Mount, MountError, MountKind, Sharing};
pub use problem::{Problem, Problems};
