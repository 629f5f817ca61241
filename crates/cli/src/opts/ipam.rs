//! Pure: `--subnet`, `--ip-range`, `--gateway` and `--aux-address` of `network create`, sorted into pools as docker's
//! client does it: every range, gateway and address goes to the subnet that holds it.

use super::OptError;
use naru_api_types::network::IpamPool;
use std::net::IpAddr;

/// What the flags say, one value an item.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Subnets.
    pub subnets: Vec<String>,
    /// Parts of them.
    pub ranges: Vec<String>,
    /// Gateways.
    pub gateways: Vec<String>,
    /// Names and addresses that are kept free.
    pub auxiliary: Vec<(String, String)>,
}

/// The pools, in the order of the subnets.
pub fn pools(wanted: &Wanted) -> Result<Vec<IpamPool>, OptError> {
    let count = wanted.subnets.len();
    if count < wanted.ranges.len() || count < wanted.gateways.len() {
        return Err(OptError::new("every ip-range or gateway must have a corresponding subnet"));
    }
    let mut pools: Vec<IpamPool> = Vec::new();
    for subnet in &wanted.subnets {
        for earlier in &pools {
            if holds(subnet, &earlier.subnet)? || holds(&earlier.subnet, subnet)? {
                return Err(OptError::new(
                    "multiple overlapping subnet configuration is not supported",
                ));
            }
        }
        pools.push(IpamPool { subnet: subnet.clone(), ..IpamPool::default() });
    }
    for range in &wanted.ranges {
        let (address, length) =
            cidr(range).ok_or_else(|| OptError::new(format!("invalid CIDR address: {range}")))?;
        let shown = format!("{}/{length}", masked(address, length));
        let pool = of(&mut pools, &shown, "range")?;
        if !pool.ip_range.is_empty() {
            return Err(OptError::new(format!(
                "cannot configure multiple ranges ({shown}, {}) on the same subnet ({})",
                pool.ip_range, pool.subnet
            )));
        }
        pool.ip_range.clone_from(range);
    }
    for gateway in &wanted.gateways {
        let pool = of(&mut pools, gateway, "gateway")?;
        if !pool.gateway.is_empty() {
            return Err(OptError::new(format!(
                "cannot configure multiple gateways ({gateway}, {}) for the same subnet ({})",
                pool.gateway, pool.subnet
            )));
        }
        pool.gateway.clone_from(gateway);
    }
    for (name, address) in &wanted.auxiliary {
        let pool = of(&mut pools, address, "aux-address")?;
        pool.auxiliary_addresses.insert(name.clone(), address.clone());
    }
    Ok(pools)
}

fn of<'a>(
    pools: &'a mut [IpamPool],
    inside: &str,
    what: &str,
) -> Result<&'a mut IpamPool, OptError> {
    for pool in pools {
        if holds(&pool.subnet, inside)? {
            return Ok(pool);
        }
    }
    Err(OptError::new(format!("no matching subnet for {what} {inside}")))
}

/// Whether the subnet holds the address, or the first address of the other subnet.
fn holds(subnet: &str, inside: &str) -> Result<bool, OptError> {
    let (network, length) = cidr(subnet)
        .ok_or_else(|| OptError::new(format!("invalid subnet: invalid CIDR address: {subnet}")))?;
    let address = if inside.contains('/') {
        let (address, _) =
            cidr(inside).ok_or_else(|| OptError::new(format!("invalid CIDR address: {inside}")))?;
        Some(address)
    } else {
        inside.parse().ok()
    };
    Ok(address.is_some_and(|address| {
        address.is_ipv4() == network.is_ipv4() && masked(address, length) == masked(network, length)
    }))
}

fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u8 = length.parse().ok()?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

/// The address with everything after the prefix cleared.
fn masked(address: IpAddr, length: u8) -> IpAddr {
    let length = u32::from(length);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// `s` subnet, `r` range, `g` gateway, `a` auxiliary address.
    fn sorted(line: &str) -> Result<Value, String> {
        let mut wanted = Wanted::default();
        for word in line.split(' ') {
            let (key, value) = word.split_once('=').unwrap();
            let value = value.to_owned();
            match key {
                "s" => wanted.subnets.push(value),
                "r" => wanted.ranges.push(value),
                "g" => wanted.gateways.push(value),
                _ => wanted.auxiliary.push((key.to_owned(), value)),
            }
        }
        pools(&wanted).map(|pools| json!(pools)).map_err(|error| error.message)
    }

    #[test]
    fn everything_goes_to_its_subnet() {
        for (line, expected) in [
            ("s=10.0.0.0/24", json!([{"Subnet": "10.0.0.0/24"}])),
            // A lone subnet is the daemon's to judge, as in docker.
            ("s=x", json!([{"Subnet": "x"}])),
            (
                "s=10.0.0.0/24 s=fd00:1::/64 g=fd00:1::1 g=10.0.0.1 r=10.0.0.128/25 router=10.0.0.2 six=fd00:1::2",
                json!([
                    {"Subnet": "10.0.0.0/24", "IPRange": "10.0.0.128/25", "Gateway": "10.0.0.1",
                     "AuxiliaryAddresses": {"router": "10.0.0.2"}},
                    {"Subnet": "fd00:1::/64", "Gateway": "fd00:1::1", "AuxiliaryAddresses": {"six": "fd00:1::2"}},
                ]),
            ),
            (
                "s=10.0.0.5/24 r=10.0.0.77/28",
                json!([{"Subnet": "10.0.0.5/24", "IPRange": "10.0.0.77/28"}]),
            ),
            ("s=0.0.0.0/0 g=1.2.3.4", json!([{"Subnet": "0.0.0.0/0", "Gateway": "1.2.3.4"}])),
        ] {
            assert_eq!(sorted(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_fits_nowhere_is_refused() {
        for (line, message) in [
            (
                "s=10.0.0.0/24 s=10.0.0.0/16",
                "multiple overlapping subnet configuration is not supported",
            ),
            (
                "s=10.0.0.0/24 s=10.0.0.0/24",
                "multiple overlapping subnet configuration is not supported",
            ),
            ("g=10.0.0.1", "every ip-range or gateway must have a corresponding subnet"),
            ("s=10.0.0.0/24 g=10.0.1.1", "no matching subnet for gateway 10.0.1.1"),
            ("s=10.0.0.0/24 g=xx", "no matching subnet for gateway xx"),
            ("s=10.0.0.0/24 r=10.1.0.0/24", "no matching subnet for range 10.1.0.0/24"),
            ("s=10.0.0.0/24 r=x", "invalid CIDR address: x"),
            (
                "s=10.0.0.0/24 s=10.0.1.0/24 g=10.0.0.1 g=10.0.0.2",
                "cannot configure multiple gateways (10.0.0.2, 10.0.0.1) for the same subnet (10.0.0.0/24)",
            ),
            (
                "s=10.0.0.0/24 s=10.0.1.0/24 r=10.0.0.0/25 r=10.0.0.128/25",
                "cannot configure multiple ranges (10.0.0.128/25, 10.0.0.0/25) on the same subnet (10.0.0.0/24)",
            ),
            ("s=10.0.0.0/24 a=10.0.2.1", "no matching subnet for aux-address 10.0.2.1"),
            ("s=x g=1.2.3.4", "invalid subnet: invalid CIDR address: x"),
            ("s=10.0.0.0/33 g=10.0.0.1", "invalid subnet: invalid CIDR address: 10.0.0.0/33"),
        ] {
            assert_eq!(sorted(line).unwrap_err(), message, "{line}");
        }
    }
}
