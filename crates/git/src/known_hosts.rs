//! Whether a list of known hosts says anything about a host. Pure. The format is that of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// The port of `ssh`, which lists leave out.
const PORT: u16 = 22;

/// Whether any line is about a host: by its name, a pattern, or a name that is hashed. What a line says of it does not matter.
pub fn knows(list: &str, host: &str, port: Option<u16>) -> bool {
    let host = host.to_ascii_lowercase();
    let name = match port {
        None | Some(PORT) => host,
        Some(port) => format!("[{host}]:{port}"),
    };
    list.lines().map(str::trim).filter(|line| !line.starts_with('#')).any(|line| {
        let mut words = line.split_ascii_whitespace();
        // A mark says that the key is an authority's, or that it is taken back.
        let names = words.next().filter(|word| !word.starts_with('@')).or_else(|| words.next());
        names.is_some_and(|names| is_among(names, &name))
    })
}

fn is_among(names: &str, name: &str) -> bool {
    if names.starts_with('|') {
        return is_hash_of(names, name).unwrap_or(false);
    }
    let mut found = false;
    for pattern in names.split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if matches(not.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= matches(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

/// `|1|SALT|HMAC-SHA1 of the name by it`.
fn is_hash_of(text: &str, name: &str) -> Option<bool> {
    let (salt, hash) = text.strip_prefix("|1|")?.split_once('|')?;
    let (salt, hash) = (STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    Some(hmac::verify(&key, name.as_bytes(), &hash).is_ok())
}

/// `*` stands for any letters, `?` for one; names are compared without regard to case.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // Where the last `*` was, and what it stands for so far: a longer piece is tried when the rest does not fit.
    let (mut at, mut rest, mut star) = (pattern, name, None);
    loop {
        match (at.split_first(), rest.split_first()) {
            (Some((b'*', after)), _) => {
                star = Some((after, rest));
                at = after;
            }
            (Some((letter, after)), Some((found, others)))
                if *letter == b'?' || letter.eq_ignore_ascii_case(found) =>
            {
                (at, rest) = (after, others);
            }
            (None, None) => return true,
            _ => {
                let Some((after, from)) = star else { return false };
                let Some((_, shorter)) = from.split_first() else { return false };
                star = Some((after, shorter));
                (at, rest) = (after, shorter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The hashed lines are what `ssh-keygen -H` made of `git.example` and `[git.example]:2222`, salts and all.
    const LIST: &str = "\
# git.comment ssh-ed25519 AAAA
git.plain,10.0.0.1 ssh-ed25519 AAAA
*.wild.example,!bad.wild.example ssh-ed25519 AAAA
@cert-authority *.signed.example ssh-ed25519 AAAA
@revoked gone.example ssh-ed25519 AAAA
[git.port]:2222 ssh-ed25519 AAAA
|1|l9WwXPxrRjQsr1vMrB3GVFj0rKU=|qA7fF7M8nIKgikl+eCAaFgLrqBg= ssh-ed25519 AAAA
|1|p483ptkK0ibSACc69AO0wGqEffM=|CkqArHNZskyXjO1qTfHQK3CRcgk= ssh-ed25519 AAAA
|1|not base64|at all ssh-ed25519 AAAA
|2|AAAA|AAAA ssh-ed25519 AAAA
";

    #[test]
    fn hosts_are_found_as_ssh_finds_them() {
        for (host, port, want) in [
            ("git.plain", None, true),
            ("GIT.plain", Some(22), true),
            ("10.0.0.1", None, true),
            ("git.plai", None, false),
            ("git.plain", Some(2222), false),
            ("git.comment", None, false),
            ("a.b.wild.example", None, true),
            ("bad.wild.example", None, false),
            ("wild.example", None, false),
            ("x.signed.example", None, true),
            ("gone.example", None, true),
            ("git.port", Some(2222), true),
            ("git.port", None, false),
            ("git.example", None, true),
            ("git.example", Some(2222), true),
            ("git.example", Some(2223), false),
            ("", None, false),
        ] {
            assert_eq!(knows(LIST, host, port), want, "{host} {port:?}");
        }
    }

    #[test]
    fn stars_and_marks_stand_for_letters() {
        for (pattern, name, want) in [
            ("*", "", true),
            ("*", "a", true),
            ("?", "", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("a?c", "abc", true),
            ("", "", true),
            ("", "a", false),
            ("*a", "aaaaaaab", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), want, "{pattern} {name}");
        }
        let long = "a".repeat(5000);
        assert!(!matches("*a*a*a*a*b".as_bytes(), long.as_bytes()));
    }
}
