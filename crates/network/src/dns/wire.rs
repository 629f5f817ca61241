//! The bytes of DNS messages, as far as a resolver that answers a few questions and hands on the others has to know them.
//!
//! Pure: nothing is copied and nothing allocated to read a question; an answer is appended to a buffer that is used again.
//! A library that builds trees of owned names is the tests' judge of this file, not its foundation.

use std::net::IpAddr;

/// The length of a message's header.
pub(super) const HEADER: usize = 12;
/// Longest message that is taken from a client. Questions are far shorter; updates and transfers are not for us.
pub(super) const LONGEST_QUERY: usize = 4096;
/// What a client takes over UDP that says nothing else.
const PLAIN_SIZE: u16 = 512;
/// What we say that we take over UDP.
const OUR_SIZE: u16 = 4096;
/// Seconds for which an answer of ours may be kept.
const TTL: u32 = 600;

pub(super) const A: u16 = 1;
pub(super) const PTR: u16 = 12;
pub(super) const AAAA: u16 = 28;
const OPT: u16 = 41;
pub(super) const IN: u16 = 1;

const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const CHECKING_DISABLED: u16 = 0x0010;
const RCODE: u16 = 0x000f;

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rcode {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NotImp = 4,
    BadVers = 16,
}

/// What a client said of its abilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edns {
    size: u16,
    version: u8,
    dnssec: bool,
}

/// A question that came in good form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a> {
    id: u16,
    flags: u16,
    /// Name, type and class as they came.
    pub(super) question: &'a [u8],
    pub(super) kind: u16,
    pub(super) class: u16,
    edns: Option<Edns>,
}

/// What came from a client.
#[derive(Debug)]
pub(super) enum Received<'a> {
    /// Not worth an answer: too short to have an id, or an answer itself.
    Nothing,
    /// Refused with a code and no question.
    Refused(Refusal),
    Query(Query<'a>),
}

/// Why no question could be read, and of which message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    id: u16,
    flags: u16,
    rcode: Rcode,
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// Where the name that begins at `start` ends. Pointers must lead to an earlier place each time, so there is no loop.
fn name_end(message: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut end = None;
    let mut before = start;
    let mut length = 1;
    loop {
        let first = *message.get(at)?;
        match first {
            0 => return Some(end.unwrap_or(at + 1)),
            1..=63 => {
                let step = 1 + usize::from(first);
                length += step;
                if length > 255 {
                    return None;
                }
                at += step;
            }
            0xc0..=0xff => {
                let target = usize::from(u16_at(message, at)? & 0x3fff);
                if target < HEADER || target >= before {
                    return None;
                }
                end.get_or_insert(at + 2);
                before = target;
                at = target;
            }
            64..=0xbf => return None,
        }
    }
}

/// Where the question that begins after the header ends. Its name is the first, so there is nothing to point to.
fn question_end(message: &[u8]) -> Option<usize> {
    let end = name_end(message, HEADER)?.checked_add(4)?;
    (end <= message.len()).then_some(end)
}

/// A record's type and where its fields after the name begin, and where it ends.
fn record(message: &[u8], start: usize) -> Option<(u16, usize, usize)> {
    let fields = name_end(message, start)?;
    let length = u16_at(message, fields.checked_add(8)?)?;
    let end = fields.checked_add(10)?.checked_add(usize::from(length))?;
    (end <= message.len()).then_some((u16_at(message, fields)?, fields, end))
}

/// Reads what a client sent.
pub(super) fn receive(message: &[u8]) -> Received<'_> {
    let (Some(id), Some(flags)) = (u16_at(message, 0), u16_at(message, 2)) else {
        return Received::Nothing;
    };
    if message.len() < HEADER || flags & RESPONSE != 0 {
        return Received::Nothing;
    }
    if flags & OPCODE != 0 {
        return Received::Refused(Refusal { id, flags, rcode: Rcode::NotImp });
    }
    match query(message, id, flags) {
        Some(query) => Received::Query(query),
        None => Received::Refused(Refusal { id, flags, rcode: Rcode::FormErr }),
    }
}

fn query(message: &[u8], id: u16, flags: u16) -> Option<Query<'_>> {
    if u16_at(message, 4)? != 1 || u16_at(message, 6)? != 0 || u16_at(message, 8)? != 0 {
        return None;
    }
    let end = question_end(message)?;
    let question = message.get(HEADER..end)?;
    let mut edns = None;
    let mut at = end;
    for _ in 0..u16_at(message, 10)? {
        let (kind, fields, next) = record(message, at)?;
        if kind == OPT {
            if edns.is_some() {
                return None;
            }
            edns = Some(Edns {
                size: u16_at(message, fields.checked_add(2)?)?.max(PLAIN_SIZE),
                version: *message.get(fields.checked_add(5)?)?,
                dnssec: u16_at(message, fields.checked_add(6)?)? & 0x8000 != 0,
            });
        }
        at = next;
    }
    Some(Query {
        id,
        flags,
        question,
        kind: u16_at(message, end.checked_sub(4)?)?,
        class: u16_at(message, end.checked_sub(2)?)?,
        edns,
    })
}

impl Query<'_> {
    /// The longest answer that the client takes over UDP.
    pub(super) fn udp_limit(&self) -> usize {
        usize::from(self.edns.map_or(PLAIN_SIZE, |edns| edns.size))
    }

    /// Whether the client speaks a version of the extensions that does not exist.
    pub(super) fn is_of_the_future(&self) -> bool {
        self.edns.is_some_and(|edns| edns.version != 0)
    }

    /// Writes the name that is asked for into `text`, in lower case and without the last dot; whether it can be written
    /// so: a label with a dot or with bytes beyond printable ASCII in it can be no name of ours.
    pub(super) fn name(&self, text: &mut String) -> bool {
        text.clear();
        let mut rest = self.question;
        while let Some((&length, tail)) = rest.split_first() {
            if length == 0 {
                return true;
            }
            let Some((label, tail)) = tail.split_at_checked(usize::from(length)) else {
                return false;
            };
            if !text.is_empty() {
                text.push('.');
            }
            for byte in label {
                if !byte.is_ascii_graphic() || *byte == b'.' {
                    return false;
                }
                text.push(char::from(byte.to_ascii_lowercase()));
            }
            rest = tail;
        }
        false
    }
}

/// An answer in the making, for a client that takes `limit` bytes.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    out: &'a mut Vec<u8>,
    query: Query<'a>,
    limit: usize,
    answers: u16,
    flags: u16,
}

impl<'a> Reply<'a> {
    /// Begins with the question.
    pub(super) fn begin(query: Query<'a>, limit: usize, out: &'a mut Vec<u8>) -> Reply<'a> {
        out.clear();
        let flags = RESPONSE
            | RECURSION_AVAILABLE
            | (query.flags & (RECURSION_DESIRED | CHECKING_DISABLED));
        for word in [query.id, flags, 1, 0, 0, 0] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(query.question);
        Reply { out, query, limit, answers: 0, flags }
    }

    /// Adds an address of the name that was asked for; whether there was room.
    pub(super) fn address(&mut self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.record(A, &address.octets()),
            IpAddr::V6(address) => self.record(AAAA, &address.octets()),
        }
    }

    /// Adds the name that an address has; a name that cannot be one on the wire is left out.
    pub(super) fn pointer(&mut self, name: &str) {
        let mut data = Vec::with_capacity(name.len() + 2);
        for label in name.split('.').filter(|label| !label.is_empty()) {
            let Some(length) = u8::try_from(label.len()).ok().filter(|length| *length <= 63) else {
                return;
            };
            data.push(length);
            data.extend_from_slice(label.as_bytes());
        }
        data.push(0);
        if data.len() > 1 && data.len() <= 255 {
            self.record(PTR, &data);
        }
    }

    fn record(&mut self, kind: u16, data: &[u8]) -> bool {
        let reserve = if self.query.edns.is_some() { 11 } else { 0 };
        let Ok(length) = u16::try_from(data.len()) else { return false };
        if self.out.len() + 12 + data.len() + reserve > self.limit || self.answers == u16::MAX {
            self.flags |= TRUNCATED;
            return false;
        }
        // The name is that of the question, which begins after the header.
        for word in [0xc00c, kind, IN] {
            self.out.extend_from_slice(&u16::to_be_bytes(word));
        }
        self.out.extend_from_slice(&TTL.to_be_bytes());
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(data);
        self.answers += 1;
        true
    }

    /// Says that there is more than fits.
    pub(super) fn truncated(mut self) {
        self.flags |= TRUNCATED;
        self.end(Rcode::NoError);
    }

    /// Ends the answer with its code.
    pub(super) fn end(self, rcode: Rcode) {
        let code = u16::from(rcode as u8);
        let flags = self.flags | (code & RCODE);
        put(self.out, 2, flags);
        put(self.out, 6, self.answers);
        if let Some(edns) = self.query.edns {
            put(self.out, 10, 1);
            self.out.push(0);
            for word in [OPT, OUR_SIZE, (code >> 4) << 8, if edns.dnssec { 0x8000 } else { 0 }, 0] {
                self.out.extend_from_slice(&u16::to_be_bytes(word));
            }
        }
    }
}

/// The answer to a message in which no question could be read.
pub(super) fn refuse(refusal: Refusal, out: &mut Vec<u8>) {
    out.clear();
    let flags =
        RESPONSE | (refusal.flags & (OPCODE | RECURSION_DESIRED)) | u16::from(refusal.rcode as u8);
    for word in [refusal.id, flags, 0, 0, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

fn put(message: &mut [u8], at: usize, word: u16) {
    if let Some(bytes) = message.get_mut(at..at + 2) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
}

/// The id of a message; 0 when it is too short to have one.
pub(super) fn id(message: &[u8]) -> u16 {
    u16_at(message, 0).unwrap_or(0)
}

/// Gives a message another id.
pub(super) fn set_id(message: &mut [u8], id: u16) {
    put(message, 0, id);
}

/// What an upstream server's message is to the question that was sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// Not the answer to it: somebody else's, late, or made up.
    Foreign,
    /// The server does not want to or cannot answer.
    Failed,
    /// The answer does not fit.
    Truncated,
    /// The answer.
    Answer,
}

/// Compares what an upstream server sent with the question `sent` (a whole message) that it was asked as `id`.
pub(super) fn matches(answer: &[u8], sent: &[u8], id: u16) -> Match {
    let header = (u16_at(answer, 0), u16_at(answer, 2), u16_at(answer, 4));
    let (Some(its_id), Some(flags), Some(questions)) = header else { return Match::Foreign };
    if its_id != id || flags & RESPONSE == 0 || flags & OPCODE != 0 || answer.len() < HEADER {
        return Match::Foreign;
    }
    let rcode = flags & RCODE;
    if questions == 0 && rcode != 0 {
        // Some servers do not repeat a question that they could not read.
        return Match::Failed;
    }
    let asked = question_end(sent).and_then(|end| sent.get(HEADER..end));
    let answered = question_end(answer).and_then(|end| answer.get(HEADER..end));
    match (asked, answered) {
        (Some(asked), Some(answered))
            if questions == 1
                && asked.eq_ignore_ascii_case(answered)
                && same_tail(asked, answered) => {}
        _ => return Match::Foreign,
    }
    if [2, 5].contains(&rcode) {
        Match::Failed
    } else if flags & TRUNCATED != 0 {
        Match::Truncated
    } else if is_whole(answer) {
        Match::Answer
    } else {
        Match::Failed
    }
}

/// Type and class are numbers, in which a byte has no case.
fn same_tail(asked: &[u8], answered: &[u8]) -> bool {
    asked.last_chunk::<4>() == answered.last_chunk::<4>()
}

/// Whether all the records that a message with one question announces are in it.
fn is_whole(message: &[u8]) -> bool {
    let walk = || {
        let mut at = question_end(message)?;
        for section in [6, 8, 10] {
            for _ in 0..u16_at(message, section)? {
                (_, _, at) = record(message, at)?;
            }
        }
        Some(at)
    };
    walk().is_some()
}

/// Makes an upstream server's answer the client's: its id, and its question with the letters' cases as it wrote them.
pub(super) fn adopt(answer: &mut [u8], query: &Query<'_>) {
    set_id(answer, query.id);
    if let Some(bytes) = answer.get_mut(HEADER..HEADER + query.question.len()) {
        bytes.copy_from_slice(query.question);
    }
}

#[cfg(test)]
mod tests;
