//! Pure: the address of a repository as BuildKit takes it: a URL or `user@host:path`, with `#reference:directory` or a query
//! behind it.

use crate::query::{self, Query};
use naru_errdefs::{Failure, Kind};

/// How a repository is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Over HTTP(S), at this URL.
    Http(String),
    /// By the system's `ssh`.
    Ssh {
        /// Who we are there, if the address says so.
        user: Option<String>,
        /// The host.
        host: String,
        /// The port, if the address says so.
        port: Option<u16>,
        /// The path there.
        path: String,
    },
    /// Over git's own service, unencrypted.
    Git {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The path there.
        path: String,
    },
}

/// A repository and what is meant in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// How it is reached.
    pub transport: Transport,
    /// A branch, a tag, another reference or the full hash of a commit; the default branch when absent.
    pub reference: Option<String>,
    /// The directory in it, without slashes at its ends; empty for all of it.
    pub directory: String,
    /// What the hash of the commit begins with, where the address says it.
    pub commit: Option<String>,
}

/// Why an address is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError {
    what: &'static str,
    hint: &'static str,
}

impl std::fmt::Display for AddressError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "invalid git address: {}", self.what)
    }
}

impl std::error::Error for AddressError {}

impl Failure for AddressError {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some(self.hint.to_owned())
    }
}

pub(crate) fn error<T>(what: &'static str, hint: &'static str) -> Result<T, AddressError> {
    Err(AddressError { what, hint })
}

/// The port of git's own service.
const GIT_PORT: u16 = 9418;
const USUAL: &str = "write `https://HOST/PATH.git#BRANCH:DIRECTORY` or `git@HOST:PATH.git#BRANCH`";

impl Address {
    /// Reads an address; nothing when the text means no repository (a URL of a file, a path).
    pub fn parse(text: &str) -> Option<Result<Address, AddressError>> {
        let (place, fragment) = text.split_once('#').map_or((text, None), |(a, b)| (a, Some(b)));
        let (place, query) = place.split_once('?').map_or((place, None), |(a, b)| (a, Some(b)));
        let transport = match place.split_once("://") {
            Some(("http" | "https", rest)) if !rest.ends_with(".git") => return None,
            Some(("http" | "https", _)) => http(place),
            Some(("ssh", rest)) => ssh(rest),
            Some(("git", rest)) => git(rest),
            Some(_) => return None,
            None => match place.strip_prefix("github.com/") {
                Some(_) => http(&format!("https://{place}")),
                None => scp(place)?,
            },
        };
        let said = match (query, fragment) {
            (Some(_), Some(_)) => error("it has a query and a fragment", USUAL),
            (Some(query), None) => query::parse(query),
            (None, fragment) => Ok(of_fragment(fragment.unwrap_or_default())),
        };
        Some(transport.and_then(|transport| meant(transport, said?)))
    }

    /// The same address of another repository, which is named by it (a submodule's).
    pub fn at(url: &str) -> Result<Address, AddressError> {
        let transport = match url.split_once("://") {
            Some(("http" | "https", _)) => http(url),
            Some(("ssh", rest)) => ssh(rest),
            Some(("git", rest)) => git(rest),
            Some(_) => error("its scheme is not supported", USUAL),
            None => scp(url).unwrap_or_else(|| error("it is no URL", USUAL)),
        };
        meant(transport?, Query::default())
    }
}

impl Transport {
    /// The address as a URL, or as `user@host:path` where the path begins at the user's home.
    pub fn url(&self) -> String {
        match self {
            Transport::Http(url) => url.clone(),
            Transport::Git { host, port, path } => format!("git://{host}:{port}{path}"),
            Transport::Ssh { user, host, port, path } => {
                let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
                match port {
                    None if !path.starts_with('/') => format!("{user}{host}:{path}"),
                    None => format!("ssh://{user}{host}{path}"),
                    Some(port) if path.starts_with('/') => {
                        format!("ssh://{user}{host}:{port}{path}")
                    }
                    Some(port) => format!("ssh://{user}{host}:{port}/{path}"),
                }
            }
        }
    }

    /// Whether what is said there can be read on the way.
    pub fn is_plain(&self) -> bool {
        match self {
            Transport::Http(url) => !url.starts_with("https://"),
            Transport::Git { .. } => true,
            Transport::Ssh { .. } => false,
        }
    }

    /// The host, with the port where the address has one.
    pub fn host(&self) -> String {
        match self {
            Transport::Http(url) => host_of(url).to_owned(),
            Transport::Ssh { host, .. } | Transport::Git { host, .. } => host.clone(),
        }
    }
}

/// The host of a URL of the web, with the port where it has one, and without who we are there. It is the one that a client of the web
/// goes to, which takes `\` for a `/`.
pub fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    place.rsplit('@').next().unwrap_or_default()
}

/// `reference:directory`
fn of_fragment(fragment: &str) -> Query {
    let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
    let reference = Some(reference).filter(|text| !text.is_empty()).map(str::to_owned);
    Query { reference, directory: directory.to_owned(), commit: None }
}

fn meant(transport: Transport, said: Query) -> Result<Address, AddressError> {
    let Query { reference, directory, commit } = said;
    if reference.as_deref().is_some_and(|text| !is_reference(text)) {
        return error("its reference is none", "name a branch, a tag or the full hash of a commit");
    }
    let parts: Vec<&str> =
        directory.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") || directory.contains('\0') {
        return error("its directory leads out of the repository", "name a directory in it");
    }
    Ok(Address { transport, reference, directory: parts.join("/"), commit })
}

/// What git takes for the name of a reference (`git check-ref-format`), as far as it could be mistaken for something else.
fn is_reference(text: &str) -> bool {
    let bad = |letter: char| {
        letter.is_control() || matches!(letter, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    };
    !text.contains(bad) && !text.contains("..") && !text.starts_with('-') && text.len() < 1024
}

fn http(url: &str) -> Result<Transport, AddressError> {
    if url.contains('?') {
        return error(
            "it has a query",
            "say what is meant behind a `#`: `https://HOST/PATH.git#BRANCH:DIRECTORY`",
        );
    }
    if url.contains(char::is_whitespace) || url.contains(char::is_control) {
        return error("it has white space", USUAL);
    }
    if url.contains('\\') {
        // Some take it for a `/`, so that the host would be another one than the one that is read here.
        return error("it has a `\\`", USUAL);
    }
    Ok(Transport::Http(url.trim_end_matches('/').to_owned()))
}

/// `[user@]host[:port]`.
fn authority(text: &str) -> Result<(Option<String>, String, Option<u16>), AddressError> {
    let (user, place) = match text.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, text),
    };
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None | Some("") => None,
        Some(text) => match text.parse() {
            Ok(port) => Some(port),
            Err(_) => return error("its port is no number", USUAL),
        },
    };
    // Nothing of it may be an option of `ssh`, or words for a shell.
    let plain = |text: &str, also: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|letter| letter.is_ascii_alphanumeric() || also.contains(letter))
    };
    if !plain(host, ".-_:%") {
        return error("its host is no name", USUAL);
    }
    if user.is_some_and(|user| !plain(user, ".-_+")) {
        return error(
            "its user is no name",
            "write `ssh://USER@HOST/PATH`; a password is asked for by no one",
        );
    }
    Ok((user.map(str::to_owned), host.to_owned(), port))
}

fn path_of(path: &str) -> Result<String, AddressError> {
    if path.is_empty() || path.starts_with('-') || path.contains(char::is_control) {
        return error("its path is none", USUAL);
    }
    Ok(path.to_owned())
}

fn ssh(rest: &str) -> Result<Transport, AddressError> {
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host, port) = authority(place)?;
    let path = match path {
        "" => return error("its path is none", USUAL),
        home if home.starts_with('~') => home.to_owned(),
        path => format!("/{path}"),
    };
    Ok(Transport::Ssh { user, host, port, path: path_of(&path)? })
}

fn git(rest: &str) -> Result<Transport, AddressError> {
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host, port) = authority(place)?;
    if user.is_some() || path.is_empty() {
        return error("it is no `git://HOST/PATH`", USUAL);
    }
    let path = path_of(&format!("/{path}"))?;
    Ok(Transport::Git { host, port: port.unwrap_or(GIT_PORT), path })
}

/// `user@host:path`; nothing when it is none.
fn scp(text: &str) -> Option<Result<Transport, AddressError>> {
    let (place, path) = text.split_once(':')?;
    if !place.contains('@') || place.contains(['/', ' ']) || text.starts_with('.') {
        return None;
    }
    Some(authority(place).and_then(|(user, host, _)| {
        Ok(Transport::Ssh { user, host, port: None, path: path_of(path)? })
    }))
}

#[cfg(test)]
mod tests;
