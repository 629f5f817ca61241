//! Acts: the calls about containers and execs.

pub(crate) mod archive;
pub(crate) mod attach;
pub(crate) mod control;
pub(crate) mod create;
pub(crate) mod exec;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod observe;
pub(crate) mod wait;
