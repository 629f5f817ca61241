//! The file of users that Apache's `htpasswd -B` makes. Pure.
//!
//! One `name:hash` a line; empty lines and lines that start with `#` say nothing. Only bcrypt (`$2a$`, `$2b$`, `$2y$`) is taken: the
//! other kinds are fast to guess, and docker's own registry takes none of them either.

use super::credentials::is_user_name;
use naru_errdefs::Fault;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Largest file, in bytes.
pub(crate) const LARGEST: u64 = 16 * 1024 * 1024;
/// Costs that are taken; one more doubles the time (10 is about a twentieth of a second).
const COSTS: std::ops::RangeInclusive<u32> = 4..=16;
/// Cost of the check of names that nobody has, when there is no user at all.
const USUAL_COST: u32 = 5;

/// The users of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Users {
    hashes: BTreeMap<String, Arc<str>>,
    /// The cost that most hashes have.
    usual_cost: u32,
}

impl Users {
    /// Reads the text of a file. The first line of a name counts, as with Apache's.
    pub(crate) fn parse(text: &str) -> Result<Users, Fault> {
        let mut hashes = BTreeMap::new();
        let mut costs: BTreeMap<u32, usize> = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |why: String| Fault::invalid(format!("line {}: {why}", at + 1));
            let Some((user, hash)) = line.split_once(':') else {
                return Err(bad("it is not `name:hash`".to_owned())
                    .with_hint("make lines with `htpasswd -B`"));
            };
            if !is_user_name(user) {
                return Err(bad(format!("`{}` is no user name", user.escape_debug())));
            }
            let cost = cost_of(hash).map_err(|kind| {
                bad(format!("the hash of user `{user}` is {kind}, which is not accepted"))
                    .with_hint("only bcrypt is: set the password anew with `htpasswd -B`")
            })?;
            if !COSTS.contains(&cost) {
                return Err(bad(format!(
                    "the bcrypt hash of user `{user}` has cost {cost}, and only {} to {} are accepted",
                    COSTS.start(),
                    COSTS.end()
                )));
            }
            if !hashes.contains_key(user) {
                *costs.entry(cost).or_default() += 1;
                hashes.insert(user.to_owned(), Arc::from(hash));
            }
        }
        let usual_cost = costs
            .into_iter()
            .max_by_key(|(_cost, count)| *count)
            .map_or(USUAL_COST, |(cost, _count)| cost);
        Ok(Users { hashes, usual_cost })
    }

    /// The hash of a user.
    pub(crate) fn hash(&self, user: &str) -> Option<&Arc<str>> {
        self.hashes.get(user)
    }

    /// A hash that no password has, and that takes as long to check as a user's.
    pub(crate) fn hash_of_nobody(&self) -> Arc<str> {
        // A salt and a hash of the right shape; that a password hits it is as likely as guessing 184 bits.
        format!(
            "$2b${:02}${}",
            self.usual_cost, "abcdefghijklmnopqrstuu5LZ1rpj9mCrmr1ZpEdLYJMm5AuSYfKS"
        )
        .into()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }
}

/// The cost of a bcrypt hash, or what else it is.
fn cost_of(hash: &str) -> Result<u32, &'static str> {
    let kind = match hash {
        _ if hash.starts_with("$apr1$") => "Apache MD5 (`$apr1$`)",
        _ if hash.starts_with("$1$") => "MD5 crypt (`$1$`)",
        _ if hash.starts_with("$5$") => "SHA-256 crypt (`$5$`)",
        _ if hash.starts_with("$6$") => "SHA-512 crypt (`$6$`)",
        _ if hash.starts_with("$2x$") => "faulty bcrypt (`$2x$`)",
        _ if hash.starts_with("{SHA}") => "SHA-1 (`{SHA}`)",
        _ if hash.starts_with("$argon2") => "Argon2",
        _ if hash.starts_with("$y$") => "yescrypt (`$y$`)",
        _ if hash.starts_with("$2") => "damaged bcrypt",
        _ => "plain text or DES crypt",
    };
    let rest =
        ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| hash.strip_prefix(prefix)).ok_or(kind)?;
    let (cost, rest) = rest.split_once('$').ok_or(kind)?;
    let of_its_alphabet =
        rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/');
    if cost.len() != 2 || rest.len() != 53 || !of_its_alphabet {
        return Err(kind);
    }
    cost.parse().map_err(|_not_a_number| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "abcdefghijklmnopqrstuu5LZ1rpj9mCrmr1ZpEdLYJMm5AuSYfKS";

    #[test]
    fn bcrypt_of_each_spelling_is_read() {
        let text = format!(
            "# users\n\nann:$2y$05${REST}\r\n  bob:$2a$10${REST}\neve:$2b$10${REST}\nann:$2y$12${REST}\n"
        );
        let users = Users::parse(&text).unwrap();
        assert_eq!(users.len(), 3);
        assert!(users.hash("ann").unwrap().starts_with("$2y$05$"));
        assert!(users.hash("ANN").is_none());
        assert!(users.hash_of_nobody().starts_with("$2b$10$"));
        assert_eq!(Users::parse("").unwrap().len(), 0);
    }

    #[test]
    fn other_kinds_are_refused_by_name() {
        let cost = |cost: &str| format!("$2y${cost}${REST}");
        for (hash, why) in [
            ("$apr1$x$y", "$apr1$"),
            ("{SHA}x", "SHA-1"),
            ("$1$x$y", "MD5 crypt"),
            ("$5$x$y", "SHA-256"),
            ("$6$x$y", "SHA-512"),
            ("$2x$10$x", "$2x$"),
            ("$y$x", "yescrypt"),
            ("$argon2id$x", "Argon2"),
            ("secret", "plain text"),
            ("", "plain text"),
            ("$2y$10$short", "damaged"),
            (&format!("$2y$10${}", REST.replace('a', "!")), "damaged"),
            (&cost("1"), "damaged"),
            (&cost("xx"), "damaged"),
            (&cost("17"), "cost 17"),
            (&cost("03"), "cost 3"),
            (&cost("31"), "cost 31"),
        ] {
            let fault = Users::parse(&format!("# x\nann:{hash}\n")).unwrap_err();
            let said = fault.message();
            assert!(
                said.contains(why) && said.contains("line 2") && said.contains("`ann`"),
                "{hash}: {said}"
            );
        }
        for line in ["ann", ":x", "a\tb:x"] {
            assert!(Users::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn nobodys_hash_is_checked_like_anybodys() {
        let users = Users::parse("").unwrap();
        assert!(!bcrypt::verify("", &users.hash_of_nobody()).unwrap());
    }
}
