//! The monitor's words and the engine's. Pure.

use super::super::{Ended, Key};
use crate::model::Timestamp;
use naru_errdefs::{Fault, Kind};
use naru_monitor::protocol::{Exit, ExitStatus, ProcessKey, Refusal};

pub(super) fn process_key(key: &Key) -> ProcessKey {
    ProcessKey { container: key.container.clone(), exec: key.exec.clone() }
}

pub(super) fn key_of(key: &ProcessKey) -> Key {
    Key { container: key.container.clone(), exec: key.exec.clone() }
}

pub(super) fn ended(exit: Exit) -> Ended {
    Ended {
        code: i64::from(exit.status.code()),
        unknown: exit.status == ExitStatus::Unknown,
        at: Timestamp(exit.at),
    }
}

pub(super) fn refused(refusal: Refusal, message: String) -> Fault {
    let kind = match refusal {
        Refusal::CommandNotFound => Kind::CommandNotFound,
        Refusal::CommandNotExecutable => Kind::CommandNotExecutable,
        Refusal::BadUser | Refusal::BadWorkdir | Refusal::InvalidInput => Kind::InvalidInput,
        Refusal::NotFound => Kind::NotFound,
        Refusal::AlreadyExists | Refusal::Conflict => Kind::Conflict,
        Refusal::Other => Kind::Internal,
    };
    Fault::new(kind, message)
}

pub(super) fn no_process(key: &Key) -> Fault {
    Fault::not_found(format!("container {} has no such process", key.container))
}
