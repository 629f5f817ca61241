//! The monitor's words and the engine's. Pure, but for the pipes that a resumed attachment needs.

use super::super::tap::{Ends, Lane, Tap};
use super::super::{Ended, Found, Key};
use crate::model::Timestamp;
use naru_errdefs::{Fault, Kind};
use naru_monitor::client::{Attachment, Handles};
use naru_monitor::protocol::{AttachSpec, Exit, ExitStatus, Position, ProcessKey, Refusal};
use std::os::fd::OwnedFd;
use std::sync::Arc;

pub(super) fn process_key(key: &Key) -> ProcessKey {
    ProcessKey { container: key.container.clone(), exec: key.exec.clone() }
}

pub(super) fn key_of(key: &ProcessKey) -> Key {
    Key { container: key.container.clone(), exec: key.exec.clone() }
}

pub(super) fn found_of(handles: &Handles, exit: Option<Exit>) -> Found {
    Found {
        key: key_of(&handles.spec.key),
        pid: handles.pid,
        started_at: Timestamp(handles.started_at),
        ended: exit.map(ended),
        tied: handles.spec.tied,
    }
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

pub(super) fn resume(taps: &[Tap]) -> Result<Vec<Attachment>, Fault> {
    let failed = |error| Fault::io("cannot make a pipe for output", error);
    let lane = |lane: &Option<Arc<Lane>>| -> Result<(Option<Position>, Option<OwnedFd>), Fault> {
        match lane {
            None => Ok((None, None)),
            Some(lane) => {
                let (position, end) = lane.resume().map_err(failed)?;
                Ok((Some(position.map_or(Position::Now, Position::At)), Some(end)))
            }
        }
    };
    taps.iter()
        .map(|tap| {
            let (stdout_position, stdout) = lane(&tap.stdout)?;
            let (stderr_position, stderr) = lane(&tap.stderr)?;
            let spec = AttachSpec {
                attachment: tap.number,
                stdout: stdout_position,
                stderr: stderr_position,
            };
            Ok(Attachment { spec, stdout, stderr })
        })
        .collect()
}

pub(super) fn attachment(tap: &Tap, (stdout, stderr): Ends, position: Position) -> Attachment {
    let spec = AttachSpec {
        attachment: tap.number,
        stdout: stdout.as_ref().map(|_| position),
        stderr: stderr.as_ref().map(|_| position),
    };
    Attachment { spec, stdout, stderr }
}
