//! Pure: hardware addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A hardware address of an Ethernet interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address for an interface with this first IP address, as docker makes it: `02:42` and the four bytes of an IPv4
    /// address, so that the same container at the same address is the same neighbour. Others get the random bytes.
    pub fn for_ip(ip: IpAddr, random: [u8; 6]) -> Mac {
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                Mac([0x02, 0x42, a, b, c, d])
            }
            IpAddr::V6(_) => Mac::local(random),
        }
    }

    /// An address that nobody sold: locally administered, for one interface.
    pub fn local(random: [u8; 6]) -> Mac {
        let [first, rest @ ..] = random;
        let [b, c, d, e, f] = rest;
        Mac([first & 0xfc | 0x02, b, c, d, e, f])
    }

    /// Whether an interface can have it: not a group's, and not all zero.
    pub fn is_usable(self) -> bool {
        let [first, ..] = self.0;
        first & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A text that is no hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid MAC address `{0}`")]
pub struct MacError(String);

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Mac, MacError> {
        let bad = || MacError(text.to_owned());
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(bad)?;
            if part.len() != 2 || !part.bytes().all(|c| c.is_ascii_hexdigit()) {
                return Err(bad());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_digits| bad())?;
        }
        if parts.next().is_some() { Err(bad()) } else { Ok(Mac(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_hardware_addresses() {
        let mac: Mac = "02:42:AC-11:00:02".replace('-', ":").parse().unwrap();
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
        assert_eq!("02-42-ac-11-00-02".parse(), Ok(mac));
        for bad in
            ["", "02:42:ac:11:00", "02:42:ac:11:00:02:03", "2:42:ac:11:0:2", "02:42:ac:11:00:+2"]
        {
            assert_eq!(bad.parse::<Mac>(), Err(MacError(bad.to_owned())));
        }
    }

    #[test]
    fn a_hardware_address_follows_from_the_address() {
        let mac = |ip: &str| Mac::for_ip(ip.parse().unwrap(), [0xff; 6]);
        assert_eq!(mac("172.17.0.2").to_string(), "02:42:ac:11:00:02");
        assert_eq!(mac("fd00::2").to_string(), "fe:ff:ff:ff:ff:ff");
        assert!(mac("fd00::2").is_usable());
        assert!(!Mac([1, 0, 0, 0, 0, 0]).is_usable() && !Mac([0; 6]).is_usable());
    }
}
