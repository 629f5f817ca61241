//! Pure: the numbers by which the poll loop knows what became ready.
//!
//! ```text
//!   63        32 31        8 7       0
//!   ├── slot ───┼── part ───┼─ kind ─┤     slot: which process; part: which of its attachments
//! ```

use crate::protocol::Stream;

/// What a watched descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// The socket on which daemons connect.
    Listener,
    /// SIGCHLD and SIGTERM.
    Signals,
    /// The connection to the daemon.
    Connection,
    /// The handshake of a process that starts.
    Handshake(u32),
    /// The pidfd of a process that is not our child.
    Stranger(u32),
    /// The output of a process.
    Output(u32, Stream),
    /// Where an attachment of a process is written to.
    Attachment(u32, u32, Stream),
}

impl Watch {
    /// The number.
    pub fn token(self) -> u64 {
        let (kind, slot, part) = match self {
            Watch::Listener => (0, 0, 0),
            Watch::Signals => (1, 0, 0),
            Watch::Connection => (2, 0, 0),
            Watch::Handshake(slot) => (3, slot, 0),
            Watch::Stranger(slot) => (4, slot, 0),
            Watch::Output(slot, Stream::Stdout) => (5, slot, 0),
            Watch::Output(slot, Stream::Stderr) => (6, slot, 0),
            Watch::Attachment(slot, part, Stream::Stdout) => (7, slot, part),
            Watch::Attachment(slot, part, Stream::Stderr) => (8, slot, part),
        };
        (u64::from(slot) << 32) | (u64::from(part & 0xff_ffff) << 8) | kind
    }

    /// What a number stands for.
    pub fn from_token(token: u64) -> Option<Watch> {
        let slot = u32::try_from(token >> 32).ok()?;
        let part = u32::try_from((token >> 8) & 0xff_ffff).ok()?;
        Some(match token & 0xff {
            0 => Watch::Listener,
            1 => Watch::Signals,
            2 => Watch::Connection,
            3 => Watch::Handshake(slot),
            4 => Watch::Stranger(slot),
            5 => Watch::Output(slot, Stream::Stdout),
            6 => Watch::Output(slot, Stream::Stderr),
            7 => Watch::Attachment(slot, part, Stream::Stdout),
            8 => Watch::Attachment(slot, part, Stream::Stderr),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_what_they_were_made_of() {
        for slot in [0, 1, 70_000, u32::MAX] {
            for watch in [
                Watch::Listener,
                Watch::Signals,
                Watch::Connection,
                Watch::Handshake(slot),
                Watch::Stranger(slot),
                Watch::Output(slot, Stream::Stdout),
                Watch::Output(slot, Stream::Stderr),
                Watch::Attachment(slot, 5, Stream::Stdout),
                Watch::Attachment(slot, 0xff_ffff, Stream::Stderr),
            ] {
                let token = watch.token();
                let again = Watch::from_token(token).unwrap();
                assert_eq!(again.token(), token);
            }
        }
        assert_eq!(Watch::from_token(0x1ff), None);
    }
}
