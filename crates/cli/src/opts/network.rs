//! Pure: `--network`, `--add-host`, `--dns`, `--sysctl` and the like.

use super::OptError;
use std::net::IpAddr;

/// `--add-host NAME:ADDRESS` (or `NAME=ADDRESS`), as the API takes it: `NAME:ADDRESS`.
pub fn extra_host(text: &str) -> Result<String, OptError> {
    let refuse = |why: &str| OptError::new(format!("bad format for add-host: \"{text}\"{why}"));
    let (name, address) =
        text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(|| refuse(""))?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() {
        return Err(refuse(""));
    }
    if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
        return Err(OptError::new(format!("invalid IP address in add-host: \"{address}\"")));
    }
    Ok(format!("{name}:{address}"))
}

/// An address of a name server.
pub fn dns(text: &str) -> Result<String, OptError> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(OptError::new(format!("{text} is not an ip address"))),
    }
}

/// The network's name, out of the short (`host`) and the long form (`name=host,alias=x`).
pub fn network(text: &str) -> Result<String, OptError> {
    if !text.contains('=') {
        return Ok(text.to_owned());
    }
    let mut name = None;
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("name", value)) => name = Some(value.to_owned()),
            Some((key, _)) => {
                return Err(OptError::new(format!("`{key}` of a network is not supported yet"))
                    .with_hint("give the network's name only"));
            }
            None => return Err(OptError::new(format!("invalid field {part}"))),
        }
    }
    name.ok_or_else(|| OptError::new("invalid network syntax: network name is required"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opts::tests::check;

    #[test]
    fn names_and_addresses() {
        check(
            extra_host,
            &[
                ("db:10.0.0.1", "db:10.0.0.1".to_owned()),
                ("db=::1", "db:::1".to_owned()),
                ("db:[::1]", "db:::1".to_owned()),
                ("me:host-gateway", "me:host-gateway".to_owned()),
            ],
            &[("db", "bad format for add-host"), ("db:x", "invalid IP address in add-host: \"x\"")],
        );
        check(dns, &[("1.1.1.1", "1.1.1.1".to_owned())], &[("one", "one is not an ip address")]);
        check(
            network,
            &[
                ("host", "host".to_owned()),
                ("name=a", "a".to_owned()),
                ("container:x", "container:x".to_owned()),
            ],
            &[
                ("name=a,ip=1.2.3.4", "`ip` of a network"),
                ("alias=x", "not supported"),
                ("=", "not supported"),
            ],
        );
    }
}
