//! Answers of one JSON value after the other: progress, events, statistics. Acts: reads as they come.

use crate::Reply;
use bytes::BytesMut;
use naru_errdefs::Fault;
use serde::de::DeserializeOwned;

/// The longest value that is read.
const LONGEST_LINE: usize = 8 << 20;

/// The values of an answer.
#[derive(Debug)]
pub struct Lines {
    reply: Reply,
    buffer: BytesMut,
    ended: bool,
}

impl Lines {
    pub(crate) fn new(reply: Reply) -> Lines {
        Lines { reply, buffer: BytesMut::new(), ended: false }
    }

    /// The next value; `None` at the end of the answer.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Fault> {
        loop {
            if let Some((value, length)) = first_value(&self.buffer, self.ended)? {
                drop(self.buffer.split_to(length));
                return Ok(Some(value));
            }
            if self.ended {
                return Ok(None);
            }
            if self.buffer.len() > LONGEST_LINE {
                return Err(Fault::invalid(format!(
                    "the daemon sent a value of more than {LONGEST_LINE} bytes"
                )));
            }
            match self.reply.chunk().await? {
                Some(data) => self.buffer.extend_from_slice(&data),
                None => self.ended = true,
            }
        }
    }
}

/// Pure: the first whole value and how many bytes it takes. Values need no line end between them.
fn first_value<T: DeserializeOwned>(
    bytes: &[u8],
    ended: bool,
) -> Result<Option<(T, usize)>, Fault> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
    match values.next() {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some((value, values.byte_offset()))),
        Some(Err(error)) if error.is_eof() && !ended => Ok(None),
        Some(Err(error)) => {
            Err(Fault::internal("the daemon's answer is not JSON of the expected shape")
                .with_source(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::first_value;

    #[test]
    fn values_are_taken_whole() {
        type Numbers = Vec<u32>;
        assert!(first_value::<Numbers>(b"[1,2", false).unwrap().is_none());
        assert_eq!(first_value::<Numbers>(b"[1,2]\r\n[3]", false).unwrap(), Some((vec![1, 2], 5)));
        assert!(first_value::<Numbers>(b"\r\n", true).unwrap().is_none());
        assert!(first_value::<Numbers>(b"[1,2", true).is_err());
        assert!(first_value::<Numbers>(b"{}", false).is_err());
    }
}
