//! What every crate says about its failures: a coarse kind, a hint, and one way to print the chain of causes.
//!
//! Pure. Small error enums stay with the operation they belong to and implement [`Failure`]; floors that
//! collect failures of many crates carry them as a [`Fault`], which keeps the kind, the hint and the cause.

mod fault;
mod kind;
mod report;

pub use fault::{Failure, Fault, ResultExt};
pub use kind::Kind;
pub use report::{Report, one_line};
