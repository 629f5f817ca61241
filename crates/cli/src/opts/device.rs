//! Pure: `--device`, `--device-cgroup-rule` and the rates of block devices.

use super::OptError;

/// A device of the host inside the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Path on the host.
    pub host: String,
    /// Path in the container.
    pub container: String,
    /// `r`, `w`, `m`.
    pub permissions: String,
}

/// `HOST[:CONTAINER][:PERMISSIONS]`.
pub fn parse(text: &str) -> Result<Device, OptError> {
    let is_mode = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| matches!(c, 'r' | 'w' | 'm'))
            && text.len() <= 3
            && text.chars().enumerate().all(|(i, c)| text.chars().skip(i + 1).all(|d| d != c))
    };
    let device = |host: &str, container: &str, mode: &str| {
        if !host.starts_with('/') {
            return Err(OptError::new(format!("{host} is not an absolute path")));
        }
        if !container.starts_with('/') {
            return Err(OptError::new(format!("{container} is not an absolute path")));
        }
        Ok(Device {
            host: host.to_owned(),
            container: container.to_owned(),
            permissions: mode.to_owned(),
        })
    };
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [host] if !host.is_empty() => device(host, host, "rwm"),
        [host, mode] if is_mode(mode) => device(host, host, mode),
        [host, container] => device(host, container, "rwm"),
        [host, container, mode] if is_mode(mode) => device(host, container, mode),
        [_, _, mode] => Err(OptError::new(format!("bad mode specified: {mode}"))
            .with_hint("the permissions are any of `r`, `w` and `m`")),
        _ => Err(OptError::new(format!("invalid device specification: {text}"))),
    }
}

/// `a|b|c MAJOR:MINOR rwm`.
pub fn rule(text: &str) -> Result<String, OptError> {
    let refuse = || {
        OptError::new(format!("invalid device cgroup format '{text}'"))
            .with_hint("write it as in `c 13:* rwm`")
    };
    let number =
        |text: &str| text == "*" || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let parts: Vec<&str> = text.split(' ').collect();
    let [kind, numbers, access] = parts.as_slice() else { return Err(refuse()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(refuse)?;
    let fine = ["a", "b", "c"].contains(kind)
        && number(major)
        && number(minor)
        && (1..=3).contains(&access.len())
        && access.chars().all(|c| matches!(c, 'r' | 'w' | 'm'));
    if fine { Ok(text.to_owned()) } else { Err(refuse()) }
}

/// `PATH:WEIGHT`, a weight between 10 and 1000 (or 0).
pub fn weight(text: &str) -> Result<(String, u64), OptError> {
    let (path, number) = path_and(text)?;
    let weight = number.parse().ok().filter(|weight| *weight == 0 || (10..=1000).contains(weight));
    match weight {
        Some(weight) => Ok((path, weight)),
        None => Err(OptError::new(format!("invalid weight for device: {text}"))
            .with_hint("a weight is a number from 10 to 1000")),
    }
}

/// `PATH:RATE[UNIT]`, bytes a second.
pub fn bytes_rate(text: &str) -> Result<(String, u64), OptError> {
    let (path, number) = path_and(text)?;
    let rate = super::memory::parse(number).ok().and_then(|rate| u64::try_from(rate).ok());
    match rate {
        Some(rate) => Ok((path, rate)),
        None => Err(OptError::new(format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        ))),
    }
}

/// `PATH:RATE`, operations a second.
pub fn count_rate(text: &str) -> Result<(String, u64), OptError> {
    let (path, number) = path_and(text)?;
    match number.parse() {
        Ok(rate) => Ok((path, rate)),
        Err(_) => Err(OptError::new(format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer"
        ))),
    }
}

fn path_and(text: &str) -> Result<(String, &str), OptError> {
    match text.rsplit_once(':') {
        Some((path, number)) if path.starts_with("/dev/") => Ok((path.to_owned(), number)),
        Some(_) => Err(OptError::new(format!("bad format for device path: {text}"))),
        None => {
            Err(OptError::new(format!("bad format: {text}"))
                .with_hint("write it as in `/dev/sda:1mb`"))
        }
    }
}

/// The weight of all block I/O.
pub fn blkio_weight(text: &str) -> Result<u16, OptError> {
    match text.parse::<u16>() {
        Ok(weight) if weight == 0 || (10..=1000).contains(&weight) => Ok(weight),
        _ => Err(OptError::new("range of blkio weight is from 10 to 1000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opts::tests::check;

    #[test]
    fn devices() {
        let device = |host: &str, container: &str, mode: &str| Device {
            host: host.to_owned(),
            container: container.to_owned(),
            permissions: mode.to_owned(),
        };
        check(
            parse,
            &[
                ("/dev/a", device("/dev/a", "/dev/a", "rwm")),
                ("/dev/a:r", device("/dev/a", "/dev/a", "r")),
                ("/dev/a:/dev/b", device("/dev/a", "/dev/b", "rwm")),
                ("/dev/a:/dev/b:rw", device("/dev/a", "/dev/b", "rw")),
            ],
            &[
                ("/dev/a:/dev/b:x", "bad mode specified: x"),
                ("/dev/a:/dev/b:rr", "bad mode specified: rr"),
                ("dev/a", "dev/a is not an absolute path"),
                ("/dev/a:b", "b is not an absolute path"),
                ("", "invalid device specification"),
                ("/a:/b:r:w", "invalid device specification"),
            ],
        );
    }

    #[test]
    fn rules_and_rates() {
        check(
            rule,
            &[("c 1:3 mr", "c 1:3 mr".to_owned()), ("a *:* rwm", "a *:* rwm".to_owned())],
            &[("c 1 r", "invalid device cgroup"), ("x 1:1 r", "invalid"), ("c 1:3 x", "invalid")],
        );
        let pair = |rate| ("/dev/sda".to_owned(), rate);
        check(
            weight,
            &[("/dev/sda:200", pair(200))],
            &[("/dev/sda:5", "invalid weight"), ("sda:5", "bad format")],
        );
        check(
            bytes_rate,
            &[("/dev/sda:1mb", pair(1 << 20))],
            &[("/dev/sda:x", "invalid rate"), ("/dev/sda", "bad format")],
        );
        check(count_rate, &[("/dev/sda:9", pair(9))], &[("/dev/sda:-1", "invalid rate")]);
        check(blkio_weight, &[("0", 0), ("10", 10)], &[("5", "from 10 to 1000"), ("x", "from 10")]);
    }
}
