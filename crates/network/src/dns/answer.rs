//! What is answered to a message of a container: from our own names, by refusal, or by others.
//!
//! Pure, but for the engine's [`Names`] that it asks.

use super::wire::{self, Query, Rcode, Received, Reply};
use super::{Lookup, Names, Upstreams};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// How a client came, which bounds the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    /// The longest answer to this question.
    pub(super) fn limit(self, query: &Query<'_>) -> usize {
        match self {
            Transport::Udp => query.udp_limit(),
            Transport::Tcp => usize::from(u16::MAX),
        }
    }
}

/// What is to be done about a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing.
    Silence,
    /// The reply is in the buffer.
    Reply,
    /// These are to be asked.
    Forward(Arc<Upstreams>),
}

/// With which of several addresses the next answer begins, for one container.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Turns {
    v4: usize,
    v6: usize,
}

impl Turns {
    /// Containers begin at different places, or all would go to the same one first.
    pub(super) fn begin(at: usize) -> Turns {
        Turns { v4: at, v6: at }
    }
}

/// Decides with buffers that are used again and again.
pub(super) struct Desk {
    names: Arc<dyn Names>,
    name: String,
    /// The reply, when there is one.
    pub(super) reply: Vec<u8>,
}

impl Desk {
    pub(super) fn new(names: Arc<dyn Names>) -> Desk {
        Desk { names, name: String::new(), reply: Vec::new() }
    }

    /// What is to be done about `message` of the container `asker`.
    pub(super) fn decide(
        &mut self,
        message: &[u8],
        transport: Transport,
        asker: &str,
        turns: &mut Turns,
    ) -> Verdict {
        let query = match wire::receive(message) {
            Received::Nothing => return Verdict::Silence,
            Received::Refused(refusal) => {
                wire::refuse(refusal, &mut self.reply);
                return Verdict::Reply;
            }
            Received::Query(query) => query,
        };
        let limit = transport.limit(&query);
        if query.is_of_the_future() {
            Reply::begin(query, limit, &mut self.reply).end(Rcode::BadVers);
            return Verdict::Reply;
        }
        if query.name(&mut self.name) {
            if let Lookup::Ours(addresses) = self.names.lookup(asker, &self.name) {
                let mut reply = Reply::begin(query, limit, &mut self.reply);
                match (query.class, query.kind) {
                    (wire::IN, wire::A) => give(&mut reply, &addresses.v4, &mut turns.v4),
                    (wire::IN, wire::AAAA) => give(&mut reply, &addresses.v6, &mut turns.v6),
                    _ => {}
                }
                reply.end(Rcode::NoError);
                return Verdict::Reply;
            }
            if (query.class, query.kind) == (wire::IN, wire::PTR)
                && let Some(address) = reversed(&self.name)
                && let Some(name) = self.names.reverse(asker, address)
            {
                let mut reply = Reply::begin(query, limit, &mut self.reply);
                reply.pointer(&name);
                reply.end(Rcode::NoError);
                return Verdict::Reply;
            }
        }
        let upstreams = self.names.upstreams(asker);
        if upstreams.servers.is_empty() {
            Reply::begin(query, limit, &mut self.reply).end(Rcode::ServFail);
            return Verdict::Reply;
        }
        Verdict::Forward(upstreams)
    }

    /// Writes that `message`, which was in good form, could not be answered.
    pub(super) fn fail(&mut self, message: &[u8]) {
        self.reply.clear();
        if let Received::Query(query) = wire::receive(message) {
            let limit = usize::from(u16::MAX);
            Reply::begin(query, limit, &mut self.reply).end(Rcode::ServFail);
        }
    }

    /// Writes that the answer to `message`, which was in good form, does not fit.
    pub(super) fn truncate(&mut self, message: &[u8]) {
        self.reply.clear();
        if let Received::Query(query) = wire::receive(message) {
            Reply::begin(query, usize::from(u16::MAX), &mut self.reply).truncated();
        }
    }

    /// Writes an upstream server's `answer` to `message`, or that it does not fit.
    pub(super) fn hand_on(&mut self, answer: &[u8], message: &[u8], transport: Transport) {
        let Received::Query(query) = wire::receive(message) else {
            self.reply.clear();
            return;
        };
        if answer.len() > transport.limit(&query) {
            return self.truncate(message);
        }
        self.reply.clear();
        self.reply.extend_from_slice(answer);
        wire::adopt(&mut self.reply, &query);
    }
}

/// Gives out all addresses, beginning with another one each time.
fn give<T: Copy + Into<IpAddr>>(reply: &mut Reply<'_>, addresses: &[T], turn: &mut usize) {
    let first = turn.checked_rem(addresses.len()).unwrap_or(0);
    if addresses.len() > 1 {
        *turn = turn.wrapping_add(1);
    }
    let (tail, head) = addresses.split_at_checked(first).unwrap_or((addresses, &[]));
    for address in head.iter().chain(tail) {
        if !reply.address((*address).into()) {
            return;
        }
    }
}

/// The address that a name such as `4.3.2.1.in-addr.arpa` stands for.
pub(super) fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut labels = digits.split('.');
        for octet in octets.iter_mut().rev() {
            let label = labels.next()?;
            if label.len() > 1 && label.starts_with('0') || label.starts_with('+') {
                return None;
            }
            *octet = label.parse().ok()?;
        }
        return labels.next().is_none().then(|| Ipv4Addr::from(octets).into());
    }
    let nibbles = name.strip_suffix(".ip6.arpa")?;
    let mut bits: u128 = 0;
    let mut labels = nibbles.rsplit('.');
    for _ in 0..32 {
        let label = labels.next()?;
        let digit = label.chars().next().filter(|_| label.len() == 1)?.to_digit(16)?;
        bits = bits << 4 | u128::from(digit);
    }
    labels.next().is_none().then(|| Ipv6Addr::from(bits).into())
}

#[cfg(test)]
mod tests;
