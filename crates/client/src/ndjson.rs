//! Acts: JSON values as they arrive, one after the other (progress, events, statistics).

use crate::connection::Answer;
use bytes::{Buf, BytesMut};
use naru_errdefs::{Fault, Kind};
use serde::de::DeserializeOwned;

/// The longest value.
const MOST_VALUE: usize = 32 << 20;

/// A stream of JSON values.
#[derive(Debug)]
pub struct Lines {
    answer: Answer,
    buffer: BytesMut,
    ended: bool,
}

impl Lines {
    pub(crate) fn new(answer: Answer) -> Lines {
        Lines { answer, buffer: BytesMut::new(), ended: false }
    }

    /// The next value, nothing at the end.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Fault> {
        loop {
            match take(&mut self.buffer, self.ended)? {
                Some(value) => return Ok(Some(value)),
                None if self.ended => return Ok(None),
                None => {}
            }
            match self.answer.piece().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => self.ended = true,
            }
            if self.buffer.len() > MOST_VALUE {
                return Err(Fault::new(
                    Kind::ResourceExhausted,
                    "a line of the answer is too long",
                ));
            }
        }
    }
}

/// Pure: takes the first value off the buffer, if it is whole.
fn take<T: DeserializeOwned>(buffer: &mut BytesMut, ended: bool) -> Result<Option<T>, Fault> {
    let blanks = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    buffer.advance(blanks);
    // A value ends with its line, except the last one, which may lack a line end.
    let end = match buffer.iter().position(|byte| *byte == b'\n') {
        Some(end) => end + 1,
        None if ended && !buffer.is_empty() => buffer.len(),
        None => return Ok(None),
    };
    let line = buffer.split_to(end);
    serde_json::from_slice(&line).map(Some).map_err(|error| {
        Fault::new(Kind::Internal, "a line of the daemon's answer is not understood")
            .with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::take;
    use bytes::BytesMut;

    #[test]
    fn values_are_taken_when_they_are_whole() {
        let mut buffer = BytesMut::from(&b"\r\n 1\n[2,\n"[..]);
        assert_eq!(take::<u8>(&mut buffer, false).unwrap(), Some(1));
        assert!(take::<Vec<u8>>(&mut buffer, false).is_err());
        let mut buffer = BytesMut::from(&b"{}"[..]);
        assert_eq!(take::<serde_json::Value>(&mut buffer, false).unwrap(), None);
        assert!(take::<serde_json::Value>(&mut buffer, true).unwrap().is_some());
        assert_eq!(take::<serde_json::Value>(&mut buffer, true).unwrap(), None);
    }
}
