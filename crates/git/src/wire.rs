//! Pure: what client and server of a fetch say to each other (gitprotocol-v2, gitprotocol-pack).

use crate::oid::Oid;
use crate::pkt::{DELIMITER, FLUSH, put};
use naru_errdefs::{Failure, Kind};

/// How we are called.
const AGENT: &str = concat!("agent=naru/", env!("CARGO_PKG_VERSION"));
/// The most references that are listed.
pub(crate) const MOST_REFERENCES: usize = 500_000;

/// What can go wrong in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WireError {
    /// What came is not what the protocol says.
    Nonsense(&'static str),
    /// The server says why it will not.
    Refused(String),
    /// The server cannot do what is needed.
    Unable(&'static str),
    /// What was asked for is not there.
    NoReference(String),
    /// More than is taken.
    TooMuch(&'static str),
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WireError::Nonsense(what) => {
                write!(f, "the server does not speak git's protocol: {what}")
            }
            WireError::Refused(why) => write!(f, "the git server refuses: {why}"),
            WireError::Unable(what) => write!(f, "the git server {what}"),
            WireError::NoReference(name) => write!(f, "repository does not contain ref {name}"),
            WireError::TooMuch(what) => write!(f, "the repository has too many {what}"),
        }
    }
}

impl std::error::Error for WireError {}

impl Failure for WireError {
    fn kind(&self) -> Kind {
        match self {
            WireError::Nonsense(_) => Kind::Unavailable,
            WireError::Refused(_) | WireError::TooMuch(_) => Kind::InvalidInput,
            WireError::Unable(_) => Kind::Unsupported,
            WireError::NoReference(_) => Kind::NotFound,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            WireError::NoReference(_) => "name a branch, a tag, another reference or the full hash of a commit; an abbreviated hash cannot be asked for".to_owned(),
            WireError::Unable(_) => "fetch it in a stage of its own with `RUN git clone`, and `COPY --from` that stage".to_owned(),
            WireError::Nonsense(_) => "see that the address is that of a git repository".to_owned(),
            WireError::Refused(_) | WireError::TooMuch(_) => return None,
        })
    }
}

/// A reference of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) oid: Oid,
    /// What an annotated tag stands for in the end.
    pub(crate) peeled: Option<Oid>,
    /// The reference that it stands for, where it is the default branch and the server says so.
    pub(crate) target: Option<String>,
}

/// What a server said at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Server {
    /// It speaks version 2 and can do this.
    Two { capabilities: Vec<String> },
    /// It speaks version 0 or 1, and has these references.
    Zero { capabilities: Vec<String>, references: Vec<Reference> },
}

/// Reads what a server says at first, line by line.
#[derive(Debug, Default)]
pub(crate) struct Advertisement {
    version: Option<u8>,
    capabilities: Vec<String>,
    references: Vec<Reference>,
}

/// A line without its end.
pub(crate) fn text(line: &[u8]) -> Result<&str, WireError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    std::str::from_utf8(line).map_err(|_bad| WireError::Nonsense("a line that is no text"))
}

/// A line that tells of a failure.
pub(crate) fn refusal(line: &[u8]) -> Result<(), WireError> {
    match line.strip_prefix(b"ERR ") {
        Some(why) => Err(WireError::Refused(shown(why))),
        None => Ok(()),
    }
}

/// What a server says, for people.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain = text.trim().chars().filter(|letter| !letter.is_control());
    plain.take(500).collect()
}

impl Advertisement {
    /// Takes a line.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<(), WireError> {
        refusal(line)?;
        if line.starts_with(b"# service=") {
            return Ok(());
        }
        if self.version.is_none() {
            self.version = Some(match text(line) {
                Ok("version 2") => 2,
                Ok("version 1") => 1,
                Ok(_) | Err(_) => 0,
            });
            if self.version != Some(0) {
                return Ok(());
            }
        }
        if self.version == Some(2) {
            self.capabilities.push(text(line)?.to_owned());
            return if self.capabilities.len() > 1000 {
                Err(WireError::TooMuch("capabilities"))
            } else {
                Ok(())
            };
        }
        let (line, capabilities) = match line.iter().position(|byte| *byte == 0) {
            Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 1..)),
            None => (line, None),
        };
        if let Some(list) = capabilities {
            self.capabilities = text(list)?.split_whitespace().map(str::to_owned).collect();
        }
        let Some((oid, name)) = text(line)?.split_once(' ') else {
            return Err(WireError::Nonsense("a reference without a name"));
        };
        if oid == "shallow" {
            return Ok(());
        }
        if oid.len() == 64 {
            return Err(WireError::Unable("names objects by SHA-256, which is not supported"));
        }
        let oid = Oid::parse(oid).ok_or(WireError::Nonsense("a reference without an object"))?;
        if let Some(tag) = name.strip_suffix("^{}") {
            if let Some(last) = self.references.last_mut().filter(|last| last.name == tag) {
                last.peeled = Some(oid);
            }
            return Ok(());
        }
        if self.references.len() >= MOST_REFERENCES {
            return Err(WireError::TooMuch("references"));
        }
        if name != "capabilities^{}" {
            let link = self
                .capabilities
                .iter()
                .find_map(|one| one.strip_prefix("symref=")?.strip_prefix(name)?.strip_prefix(':'));
            let (name, target) = (name.to_owned(), link.map(str::to_owned));
            self.references.push(Reference { name, oid, peeled: None, target });
        }
        Ok(())
    }

    /// Whether anything was said.
    pub(crate) fn is_begun(&self) -> bool {
        self.version.is_some()
    }

    /// What was said in all.
    pub(crate) fn finish(self) -> Result<Server, WireError> {
        let format = self.capabilities.iter().find_map(|one| one.strip_prefix("object-format="));
        if format.is_some_and(|format| format != "sha1") {
            return Err(WireError::Unable("names objects by SHA-256, which is not supported"));
        }
        match self.version {
            Some(2) => Ok(Server::Two { capabilities: self.capabilities }),
            Some(_) => {
                Ok(Server::Zero { capabilities: self.capabilities, references: self.references })
            }
            None => Err(WireError::Nonsense("it says nothing")),
        }
    }
}

impl Server {
    fn can(&self, what: &str) -> bool {
        let (Server::Two { capabilities } | Server::Zero { capabilities, .. }) = self;
        capabilities.iter().any(|one| one == what || one.split('=').next() == Some(what))
    }
}

fn head(message: &mut Vec<u8>, command: &str, server: &Server) {
    put(message, &format!("command={command}\n"));
    put(message, &format!("{AGENT}\n"));
    if server.can("object-format") {
        put(message, "object-format=sha1\n");
    }
    message.extend_from_slice(DELIMITER);
}

/// The names that a reference may have, the best ones first.
fn names(reference: Option<&str>) -> Vec<String> {
    let Some(text) = reference else { return vec!["HEAD".to_owned()] };
    let after = |start: &str| format!("{start}{}", text.strip_prefix(start).unwrap_or(text));
    // As `git checkout`, which prefers branches.
    let mut names = vec![after("refs/"), after("refs/heads/"), after("refs/tags/")];
    if text == "HEAD" {
        names.insert(0, text.to_owned());
    }
    names
}

/// Asks for the references that a name may mean (version 2).
pub(crate) fn list(server: &Server, reference: Option<&str>) -> Vec<u8> {
    let mut message = Vec::new();
    head(&mut message, "ls-refs", server);
    put(&mut message, "peel\n");
    put(&mut message, "symrefs\n");
    for name in names(reference) {
        put(&mut message, &format!("ref-prefix {name}\n"));
    }
    message.extend_from_slice(FLUSH);
    message
}

/// Asks for all branches and tags (version 2).
pub(crate) fn list_all(server: &Server) -> Vec<u8> {
    let mut message = Vec::new();
    head(&mut message, "ls-refs", server);
    put(&mut message, "ref-prefix refs/heads/\n");
    put(&mut message, "ref-prefix refs/tags/\n");
    message.extend_from_slice(FLUSH);
    message
}

/// A line of the answer to that.
pub(crate) fn listed(line: &[u8]) -> Result<Option<Reference>, WireError> {
    refusal(line)?;
    let mut words = text(line)?.split(' ');
    let (Some(oid), Some(name)) = (words.next(), words.next()) else {
        return Err(WireError::Nonsense("a reference without a name"));
    };
    if oid == "unborn" {
        return Ok(None);
    }
    let oid = Oid::parse(oid).ok_or(WireError::Nonsense("a reference without an object"))?;
    let (mut peeled, mut target) = (None, None);
    for word in words {
        peeled = word.strip_prefix("peeled:").and_then(Oid::parse).or(peeled);
        target = word.strip_prefix("symref-target:").map(str::to_owned).or(target);
    }
    Ok(Some(Reference { name: name.to_owned(), oid, peeled, target }))
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// The commit.
    pub commit: Oid,
    /// What has to be asked for to get it: the tag, where it is an annotated one.
    pub object: Oid,
    /// The full name that it has there; empty when it was asked for by its hash, or nobody knows.
    pub name: String,
}

/// The commit that a name means.
pub(crate) fn resolve(references: &[Reference], reference: Option<&str>) -> Result<Tip, WireError> {
    let found = names(reference)
        .into_iter()
        .find_map(|name| references.iter().find(|known| known.name == name));
    match found {
        Some(found) => Ok(Tip {
            commit: found.peeled.unwrap_or(found.oid),
            object: found.oid,
            name: found.target.clone().unwrap_or_else(|| found.name.clone()),
        }),
        None => Err(WireError::NoReference(reference.unwrap_or("HEAD").to_owned())),
    }
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    /// The commits.
    pub(crate) oids: Vec<Oid>,
    /// Whether without what was before them.
    pub(crate) shallow: bool,
}

/// Asks for a pack.
pub(crate) fn fetch(server: &Server, want: &Want) -> Result<Vec<u8>, WireError> {
    let mut message = Vec::new();
    let two = matches!(server, Server::Two { .. });
    if want.oids.is_empty() {
        return Err(WireError::Nonsense("nothing is wanted of it"));
    }
    if two {
        head(&mut message, "fetch", server);
        for line in ["no-progress\n", "ofs-delta\n"] {
            put(&mut message, line);
        }
    } else if !server.can("side-band-64k") {
        return Err(WireError::Unable("is too old: it has no side bands"));
    } else if want.shallow && !server.can("shallow") {
        return Err(WireError::Unable("is too old: it gives no shallow packs"));
    }
    for (number, oid) in want.oids.iter().enumerate() {
        if two || number > 0 {
            put(&mut message, &format!("want {oid}\n"));
            continue;
        }
        let mut capabilities = String::from("side-band-64k no-progress");
        if server.can("ofs-delta") {
            capabilities.push_str(" ofs-delta");
        }
        put(&mut message, &format!("want {oid} {capabilities} {AGENT}\n"));
    }
    if want.shallow {
        put(&mut message, "deepen 1\n");
    }
    if !two {
        message.extend_from_slice(FLUSH);
    }
    put(&mut message, "done\n");
    if two {
        message.extend_from_slice(FLUSH);
    }
    Ok(message)
}

/// Where an answer with a pack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a part begins (version 2).
    Between,
    /// In a part that is not needed.
    Skipped,
    /// Before the acknowledgement (version 0).
    Shallow,
    /// In the pack.
    Pack,
    /// Behind it.
    Over,
}

/// Reads an answer with a pack.
#[derive(Debug)]
pub(crate) struct Receiving {
    place: Place,
}

/// What an answer brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Nothing that matters.
    Nothing,
    /// Bytes of the pack.
    Pack(&'a [u8]),
    /// That was all.
    End,
}

impl Receiving {
    pub(crate) fn new(server: &Server) -> Receiving {
        let two = matches!(server, Server::Two { .. });
        Receiving { place: if two { Place::Between } else { Place::Shallow } }
    }

    /// Takes a line.
    pub(crate) fn line<'a>(&mut self, line: &'a [u8]) -> Result<Piece<'a>, WireError> {
        if self.place != Place::Pack {
            refusal(line)?;
        }
        match self.place {
            Place::Between => {
                self.place = match text(line)? {
                    "packfile" => Place::Pack,
                    "shallow-info" | "acknowledgments" | "wanted-refs" => Place::Skipped,
                    _ => return Err(WireError::Nonsense("an unknown part of an answer")),
                };
                Ok(Piece::Nothing)
            }
            Place::Skipped => Ok(Piece::Nothing),
            Place::Shallow => {
                let text = text(line)?;
                if text == "NAK" || text.starts_with("ACK ") {
                    self.place = Place::Pack;
                } else if !text.starts_with("shallow ") && !text.starts_with("unshallow ") {
                    return Err(WireError::Nonsense("an answer without an acknowledgement"));
                }
                Ok(Piece::Nothing)
            }
            Place::Pack => match line.split_first() {
                Some((1, bytes)) => Ok(Piece::Pack(bytes)),
                Some((2, _)) => Ok(Piece::Nothing),
                Some((3, why)) => Err(WireError::Refused(shown(why))),
                Some(_) | None => Err(WireError::Nonsense("an unknown side band")),
            },
            Place::Over => Err(WireError::Nonsense("more than an answer")),
        }
    }

    /// Takes the end of a part.
    pub(crate) fn delimiter(&mut self) -> Result<(), WireError> {
        match self.place {
            Place::Skipped => self.place = Place::Between,
            _ => return Err(WireError::Nonsense("the end of a part that has not begun")),
        }
        Ok(())
    }

    /// Takes the end of a message.
    pub(crate) fn flush(&mut self) -> Result<Piece<'static>, WireError> {
        match self.place {
            // Behind the list of shallow commits.
            Place::Shallow => Ok(Piece::Nothing),
            Place::Pack => {
                self.place = Place::Over;
                Ok(Piece::End)
            }
            Place::Between | Place::Skipped | Place::Over => {
                Err(WireError::Nonsense("an answer without a pack"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
