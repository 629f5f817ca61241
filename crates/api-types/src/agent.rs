//! Pure: many connections to agents of ssh over one stream, between the daemon, whose builds open them, and the client, who
//! has the agents.
//!
//! ```text
//!   connection (4 bytes) · what (1 byte) · length (4 bytes) · so many bytes      numbers big-endian
//!   what: 0 open (the agent's id; by the daemon only) · 1 data · 2 close
//! ```

/// The longest piece of data.
pub const MOST_DATA: usize = 64 << 10;
/// Bytes before the data.
const HEAD: usize = 9;

/// A piece of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentFrame {
    /// A connection to an agent is wanted.
    Open {
        /// Its number.
        connection: u32,
        /// Which agent.
        id: String,
    },
    /// Bytes of a connection.
    Data {
        /// Its number.
        connection: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A connection has ended.
    Close {
        /// Its number.
        connection: u32,
    },
}

impl AgentFrame {
    /// The piece as it goes over the stream. What is longer than [`MOST_DATA`] is to be sent in several.
    pub fn encode(&self) -> Vec<u8> {
        let (connection, what, bytes) = match self {
            AgentFrame::Open { connection, id } => (connection, 0, id.as_bytes()),
            AgentFrame::Data { connection, bytes } => (connection, 1, bytes.as_slice()),
            AgentFrame::Close { connection } => (connection, 2, &[][..]),
        };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        [&connection.to_be_bytes()[..], &[what], &length.to_be_bytes(), bytes].concat()
    }
}

/// What came is no piece of such a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAgentFrame;

/// Takes pieces out of bytes as they come.
#[derive(Debug, Default)]
pub struct AgentFrames {
    waiting: Vec<u8>,
}

impl AgentFrames {
    /// Adds bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next piece, if all of it is there.
    pub fn take(&mut self) -> Result<Option<AgentFrame>, NoAgentFrame> {
        let Some(head) = self.waiting.first_chunk::<HEAD>() else { return Ok(None) };
        let [a, b, c, d, what, e, f, g, h] = *head;
        let connection = u32::from_be_bytes([a, b, c, d]);
        let length = usize::try_from(u32::from_be_bytes([e, f, g, h])).unwrap_or(usize::MAX);
        if length > MOST_DATA || what > 2 {
            return Err(NoAgentFrame);
        }
        let Some(bytes) = self.waiting.get(HEAD..HEAD + length) else { return Ok(None) };
        let frame = match what {
            0 => {
                let id = String::from_utf8(bytes.to_vec()).map_err(|_bad| NoAgentFrame)?;
                AgentFrame::Open { connection, id }
            }
            1 => AgentFrame::Data { connection, bytes: bytes.to_vec() },
            _ => AgentFrame::Close { connection },
        };
        self.waiting.drain(..HEAD + length);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_however_they_come_in() {
        let want = [
            AgentFrame::Open { connection: 7, id: "default".to_owned() },
            AgentFrame::Data { connection: 7, bytes: vec![1; 300] },
            AgentFrame::Data { connection: 1 << 31, bytes: Vec::new() },
            AgentFrame::Close { connection: 7 },
        ];
        let stream: Vec<u8> = want.iter().flat_map(AgentFrame::encode).collect();
        for size in [1, 2, 9, 100, stream.len()] {
            let mut frames = AgentFrames::default();
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                frames.feed(piece);
                while let Some(frame) = frames.take().unwrap() {
                    found.push(frame);
                }
            }
            assert_eq!(found, want);
        }
    }

    #[test]
    fn what_is_none_is_refused_at_once() {
        for bytes in [
            &b"HTTP/1.1 200"[..],
            &[0, 0, 0, 1, 3, 0, 0, 0, 0],
            &[0, 0, 0, 1, 1, 0, 1, 0, 1],
            &[0, 0, 0, 1, 0, 0, 0, 0, 1, 0xff],
        ] {
            let mut frames = AgentFrames::default();
            frames.feed(bytes);
            assert_eq!(frames.take(), Err(NoAgentFrame), "{bytes:?}");
        }
    }
}
