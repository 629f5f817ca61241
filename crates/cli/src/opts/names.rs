//! Pure: what a container knows about names: `--add-host`, `--dns` and `--dns-search`.

use super::OptError;
use std::net::IpAddr;

/// The longest domain that docker's client takes.
const LONGEST: usize = 254;

/// `--add-host NAME:ADDRESS` (or `NAME=ADDRESS`), as the API takes it: `NAME:ADDRESS`.
pub fn extra_host(text: &str) -> Result<String, OptError> {
    let refuse = || OptError::new(format!("bad format for add-host: \"{text}\""));
    let (name, address) =
        text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(refuse)?;
    if name.is_empty() || name.contains(':') {
        return Err(refuse());
    }
    let address =
        address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
        return Err(OptError::new(format!("invalid IP address in add-host: \"{address}\"")));
    }
    Ok(format!("{name}:{address}"))
}

/// An address of a name server.
pub fn server(text: &str) -> Result<String, OptError> {
    match text.trim().parse::<IpAddr>() {
        Ok(address) => Ok(address.to_canonical().to_string()),
        Err(_) => Err(OptError::new(format!("IP address is not correctly formatted: {text}"))),
    }
}

/// A domain to search in; `.` for none.
pub fn search(text: &str) -> Result<String, OptError> {
    let text = text.trim_matches(' ');
    if text == "." {
        return Ok(text.to_owned());
    }
    let domain = text.trim_end();
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let letters = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    if letters && domain.len() <= LONGEST && domain.split('.').all(label) {
        Ok(domain.to_owned())
    } else {
        Err(OptError::new(format!("{text} is not a valid domain")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opts::tests::check;

    fn pair(text: &'static str, expected: &str) -> (&'static str, String) {
        (text, expected.to_owned())
    }

    #[test]
    fn hosts() {
        check(
            extra_host,
            &[
                pair("db:10.0.0.1", "db:10.0.0.1"),
                pair("db=10.0.0.1", "db:10.0.0.1"),
                pair("db:::1", "db:::1"),
                pair("db=::1", "db:::1"),
                pair("db:[::1]", "db:::1"),
                pair("db=[::1]", "db:::1"),
                pair("db=[1.2.3.4]", "db:1.2.3.4"),
                pair("db:0:0:0:0:0:0:0:1", "db:0:0:0:0:0:0:0:1"),
                pair("me:host-gateway", "me:host-gateway"),
                pair("me=host-gateway", "me:host-gateway"),
            ],
            &[
                ("db", "bad format for add-host: \"db\""),
                (":1.2.3.4", "bad format for add-host: \":1.2.3.4\""),
                ("=1.2.3.4", "bad format for add-host: \"=1.2.3.4\""),
                ("a:b=1.2.3.4", "bad format for add-host: \"a:b=1.2.3.4\""),
                ("db:x", "invalid IP address in add-host: \"x\""),
                ("db:", "invalid IP address in add-host: \"\""),
                ("db:1.2.3", "invalid IP address in add-host: \"1.2.3\""),
                ("db=[::1", "invalid IP address in add-host: \"[::1\""),
                ("db:1:2:3", "invalid IP address in add-host: \"1:2:3\""),
            ],
        );
    }

    #[test]
    fn servers_and_domains() {
        check(
            server,
            &[
                pair("1.1.1.1", "1.1.1.1"),
                pair(" 1.1.1.1 ", "1.1.1.1"),
                pair("::1", "::1"),
                pair("0:0::1", "::1"),
                pair("::ffff:1.2.3.4", "1.2.3.4"),
            ],
            &[
                ("x", "IP address is not correctly formatted: x"),
                ("[::1]", "IP address is not correctly formatted: [::1]"),
                ("", "IP address is not correctly formatted: "),
            ],
        );
        check(
            search,
            &[
                pair(".", "."),
                pair("a.b", "a.b"),
                pair("c", "c"),
                pair("a.b.", "a.b"),
                pair(" a-b.c ", "a-b.c"),
            ],
            &[
                ("", " is not a valid domain"),
                ("-x", "-x is not a valid domain"),
                ("x-", "x- is not a valid domain"),
                ("1.2", "1.2 is not a valid domain"),
                ("a_b", "a_b is not a valid domain"),
                ("a..b", "a..b is not a valid domain"),
            ],
        );
    }
}
