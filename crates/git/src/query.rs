//! Pure: what the query of a repository's address says: `?branch=main&subdir=docs&checksum=be1f38e`.

use crate::address::{AddressError, error};

/// What it says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// The reference.
    pub(crate) reference: Option<String>,
    /// The directory in the repository.
    pub(crate) directory: String,
    /// What the hash of the commit begins with.
    pub(crate) commit: Option<String>,
}

const KEYS: &str = "a query has `branch=`, `tag=` or `ref=`, and `subdir=` and `checksum=` (a commit's hash); what else an instruction can \
    say is a flag of it, such as `--keep-git-dir`";

/// Reads a query, without the `?`.
pub(crate) fn parse(text: &str) -> Result<Query, AddressError> {
    let mut query = Query::default();
    for part in text.split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let Some(value) = decoded(value).filter(|value| !value.is_empty()) else {
            return error("its query has a word without a value", KEYS);
        };
        let (slot, value) = match key {
            "branch" => (&mut query.reference, format!("refs/heads/{value}")),
            "tag" => (&mut query.reference, format!("refs/tags/{value}")),
            "ref" => (&mut query.reference, value),
            "checksum" | "commit" if value.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                (&mut query.commit, value.to_ascii_lowercase())
            }
            "checksum" | "commit" => {
                return error("the checksum of its query is no hash of a commit", KEYS);
            }
            "subdir" if query.directory.is_empty() => {
                query.directory = value;
                continue;
            }
            "subdir" => return error("its query says two things of one", KEYS),
            _ => return error("its query has a word that is not known", KEYS),
        };
        if slot.replace(value).is_some() {
            return error("its query says two things of one", KEYS);
        }
    }
    if query.reference.is_none() {
        // The whole hash says which commit is meant; a part of it only what that of the default branch must be.
        query.reference = query.commit.clone().filter(|commit| commit.len() >= 40);
    }
    Ok(query)
}

/// What a value means: `%2F` is a slash.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, more) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = more;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_is_meant() {
        let full = "0123456789abcdef0123456789abcdef01234567";
        let check = |text: &str, reference: Option<&str>, directory: &str, commit: Option<&str>| {
            let wanted = Query {
                reference: reference.map(str::to_owned),
                directory: directory.to_owned(),
                commit: commit.map(str::to_owned),
            };
            assert_eq!(parse(text).unwrap(), wanted, "{text}");
        };
        check("", None, "", None);
        check("branch=main", Some("refs/heads/main"), "", None);
        check("branch=a%2Fb&subdir=c/d", Some("refs/heads/a/b"), "c/d", None);
        check("tag=v1&checksum=BE1F", Some("refs/tags/v1"), "", Some("be1f"));
        check("ref=pull/42/head&&commit=0", Some("pull/42/head"), "", Some("0"));
        check("checksum=be1f", None, "", Some("be1f"));
        check(&format!("checksum={full}"), Some(full), "", Some(full));
    }

    #[test]
    fn what_is_not_known_or_said_twice_is_refused() {
        for text in [
            "nope=x",
            "branch",
            "branch=",
            "branch=a&tag=b",
            "subdir=a&subdir=b",
            "checksum=a&commit=b",
            "checksum=xyz",
            "branch=%",
            "branch=%zz",
            "branch=%ff",
            "keep-git-dir=true",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
