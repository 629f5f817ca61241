//! Acts, through the line that it is given: a conversation with a server.

use crate::oid::Oid;
use crate::pack::PackWriter;
use crate::pkt::{Decoder, Pkt};
use crate::wire::{
    self, Advertisement, MOST_REFERENCES, Piece, Receiving, Reference, Server, Tip, Want, WireError,
};
use bytes::Bytes;
use naru_errdefs::{Fault, Kind};
use std::future::Future;

/// The most bytes of an answer without a pack.
const MOST_TALK: usize = 128 << 20;
/// The most branches and tags whose whole history is fetched to find a commit.
const MOST_WANTED: usize = 20_000;

/// A line to a server: HTTP requests, or a stream. It bounds how long it waits.
pub trait Line: Send {
    /// Sends a message.
    fn send(&mut self, message: Vec<u8>) -> impl Future<Output = Result<(), Fault>> + Send;

    /// The next bytes of what the server says, at first unasked; nothing when it has ended.
    fn piece(&mut self) -> impl Future<Output = Result<Option<Bytes>, Fault>> + Send;
}

/// A conversation that has begun.
#[derive(Debug)]
pub struct Session<L> {
    line: L,
    decoder: Decoder,
    talked: usize,
    server: Server,
}

impl<L: Line> Session<L> {
    /// Hears what the server says at first.
    pub async fn open(line: L) -> Result<Session<L>, Fault> {
        let server = Server::Two { capabilities: Vec::new() };
        let mut session = Session { line, decoder: Decoder::default(), talked: 0, server };
        let mut reading = Advertisement::default();
        loop {
            match session.next().await? {
                Pkt::Line(line) => reading.line(&line)?,
                // One stands behind the name of the service, when it comes by HTTP.
                Pkt::Flush if reading.is_begun() => break,
                Pkt::Flush => {}
                Pkt::Delimiter | Pkt::End => {
                    return Err(WireError::Nonsense("an end before a beginning").into());
                }
            }
        }
        session.server = reading.finish()?;
        Ok(session)
    }

    async fn next(&mut self) -> Result<Pkt, Fault> {
        loop {
            if let Some(pkt) = self.decoder.next()? {
                return Ok(pkt);
            }
            let piece = self.line.piece().await?.ok_or_else(|| {
                let text = "the git server ended the connection in the middle of an answer";
                Fault::new(Kind::Unavailable, text)
            })?;
            self.talked = self.talked.saturating_add(piece.len());
            self.decoder.feed(&piece);
        }
    }

    async fn references(&mut self, question: Vec<u8>) -> Result<Vec<Reference>, Fault> {
        if let Server::Zero { references, .. } = &self.server {
            return Ok(references.clone());
        }
        self.line.send(question).await?;
        self.talked = 0;
        let mut references = Vec::new();
        loop {
            match self.next().await? {
                Pkt::Line(line) => references.extend(wire::listed(&line)?),
                Pkt::Flush => return Ok(references),
                Pkt::Delimiter | Pkt::End => {
                    return Err(WireError::Nonsense("an end before a beginning").into());
                }
            }
            if references.len() > MOST_REFERENCES || self.talked > MOST_TALK {
                return Err(WireError::TooMuch("references").into());
            }
        }
    }

    /// The commit that a branch, a tag or another reference means; the default branch when absent.
    pub async fn resolve(&mut self, reference: Option<&str>) -> Result<Tip, Fault> {
        let question = wire::list(&self.server, reference);
        let references = self.references(question).await?;
        Ok(wire::resolve(&references, reference)?)
    }

    /// Writes a pack with a commit (or the tag of one) and its files, without what was before it.
    pub async fn fetch(&mut self, object: Oid, pack: &mut PackWriter) -> Result<(), Fault> {
        self.receive(Want { oids: vec![object], shallow: true }, pack).await
    }

    /// Writes a pack with all that branches and tags ever had, for a commit that the server gives to nobody who asks for it.
    pub async fn fetch_all(&mut self, pack: &mut PackWriter) -> Result<(), Fault> {
        let question = wire::list_all(&self.server);
        let references = self.references(question).await?;
        let mut oids: Vec<Oid> = references.iter().map(|reference| reference.oid).collect();
        oids.sort();
        oids.dedup();
        if oids.len() > MOST_WANTED {
            return Err(WireError::TooMuch("references").into());
        }
        self.receive(Want { oids, shallow: false }, pack).await
    }

    async fn receive(&mut self, want: Want, pack: &mut PackWriter) -> Result<(), Fault> {
        let message = wire::fetch(&self.server, &want)?;
        self.line.send(message).await?;
        let mut receiving = Receiving::new(&self.server);
        let mut talk = 0usize;
        loop {
            match self.next().await? {
                Pkt::Line(line) => match receiving.line(&line)? {
                    Piece::Pack(bytes) => pack.write(bytes)?,
                    Piece::Nothing => {
                        talk = talk.saturating_add(line.len());
                        if talk > MOST_TALK {
                            return Err(WireError::TooMuch("words for a pack").into());
                        }
                    }
                    Piece::End => return Ok(()),
                },
                Pkt::Delimiter => receiving.delimiter()?,
                Pkt::Flush => {
                    if receiving.flush()? == Piece::End {
                        return Ok(());
                    }
                }
                Pkt::End => return Err(WireError::Nonsense("an end before a beginning").into()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
