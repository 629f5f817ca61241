//! Pure: one record of a log file, in the shape of docker's `json-file`, and how output is cut into records.
//!
//! ```text
//! {"log":"hello\n","stream":"stdout","time":"2026-11-24T01:02:03.000000004Z"}
//! ```
//!
//! A record is a line with its newline, or a piece of at most 16 KiB of a longer one, without; pieces are cut between
//! characters. Bytes that are not UTF-8 become U+FFFD, one for each byte, as Go's encoder does. What is written is what
//! docker writes byte for byte, so every reader of its files reads ours.

use crate::protocol::Stream;
use serde::Deserialize;
use std::borrow::Cow;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The longest piece of a line.
pub const MAX_PIECE: usize = 16 * 1024;

/// A record as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which stream it came from.
    pub stream: Stream,
    /// The text, with its newline if it has one.
    pub text: String,
    /// When the monitor read it, in nanoseconds since 1970.
    pub time: i64,
}

/// The length of the next record of `output`, if it is complete; with `end`, what is there is the rest.
pub fn next_length(output: &[u8], end: bool) -> Option<usize> {
    let head = output.get(..=MAX_PIECE).unwrap_or(output);
    if let Some(newline) = head.iter().position(|byte| *byte == b'\n') {
        return Some(newline + 1);
    }
    if output.len() >= MAX_PIECE {
        return Some(cut_between_characters(output.get(..MAX_PIECE).unwrap_or(output)));
    }
    (end && !output.is_empty()).then_some(output.len())
}

/// Shortens a piece so that it does not end within a character; never to nothing.
fn cut_between_characters(piece: &[u8]) -> usize {
    // The first byte of the last character is at most four bytes from the end, or this is no UTF-8 anyway.
    for back in 1..=4usize.min(piece.len()) {
        let at = piece.len() - back;
        let width = match piece.get(at) {
            Some(0x80..=0xbf) => continue,
            Some(0xc2..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf4) => 4,
            Some(_) | None => 1,
        };
        return if width > back && at > 0 { at } else { piece.len() };
    }
    piece.len()
}

/// Appends the record of `text` to `out`, with its newline.
pub fn encode(out: &mut Vec<u8>, stream: Stream, text: &[u8], time: &str) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(out, text);
    out.extend_from_slice(b"\",\"stream\":\"");
    out.extend_from_slice(stream.name().as_bytes());
    out.extend_from_slice(b"\",\"time\":\"");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\"}\n");
}

fn escape(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\u{0}'..='\u{1f}' | '<' | '>' | '&' => {
                    // All of them are below 0x80.
                    let code = u8::try_from(character).unwrap_or_default();
                    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                    out.extend_from_slice(b"\\u00");
                    out.extend([digit(code >> 4), digit(code & 15)]);
                }
                '\u{2028}' => out.extend_from_slice(b"\\u2028"),
                '\u{2029}' => out.extend_from_slice(b"\\u2029"),
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

/// Reads a record; `None` if the line is none.
pub fn decode(line: &[u8]) -> Option<Record> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow, default)]
        log: Cow<'a, str>,
        #[serde(borrow, default)]
        stream: Cow<'a, str>,
        #[serde(borrow)]
        time: Cow<'a, str>,
    }
    let raw: Raw<'_> = serde_json::from_slice(line).ok()?;
    let stream = if raw.stream == "stderr" { Stream::Stderr } else { Stream::Stdout };
    Some(Record { stream, text: raw.log.into_owned(), time: parse_time(&raw.time)? })
}

/// A time as Go's `RFC3339Nano` writes it: UTC, nanoseconds without trailing zeros.
pub fn format_time(nanoseconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanoseconds))
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

/// The nanoseconds since 1970 of a time in RFC 3339.
pub fn parse_time(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

#[cfg(test)]
mod tests;
