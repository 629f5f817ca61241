//! Pure: subnets for networks that do not name one, and which subnets are in each other's way.

use super::PoolError;
use super::pool::number;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A stretch of addresses from which subnets of one size are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultPool {
    /// The stretch.
    pub base: IpNet,
    /// The prefix length of each subnet.
    pub size: u8,
}

/// Docker's own: 172.17 to 172.31 whole, then 192.168 in sixteen parts.
pub fn default_pools() -> Vec<DefaultPool> {
    let pool = |a: u8, b: u8, prefix: u8, size: u8| {
        let base = Ipv4Net::new(Ipv4Addr::new(a, b, 0, 0), prefix).ok()?;
        Some(DefaultPool { base: base.into(), size })
    };
    (17..=31).filter_map(|b| pool(172, b, 16, 16)).chain(pool(192, 168, 16, 20)).collect()
}

/// The first subnet of the pools that overlaps with nothing in `taken`: routes of the host and other networks.
pub fn choose_subnet(pools: &[DefaultPool], taken: &[IpNet]) -> Result<IpNet, PoolError> {
    for pool in pools {
        let DefaultPool { base, size } = *pool;
        let bad = || PoolError::BadDefault { base, size };
        if size < base.prefix_len() || size > base.max_prefix_len() {
            return Err(bad());
        }
        let step = 1_u128.checked_shl(u32::from(base.max_prefix_len() - size)).ok_or_else(bad)?;
        let last = number(base.broadcast());
        // In order, so that each is looked at once, however many there are.
        let mut ranges: Vec<(u128, u128)> = taken
            .iter()
            .filter(|other| other.addr().is_ipv4() == base.addr().is_ipv4())
            .map(|other| (number(other.network()), number(other.broadcast())))
            .collect();
        ranges.sort_unstable();
        let mut ranges = ranges.into_iter().peekable();
        let mut reach = None;
        let mut at = number(base.network());
        while at <= last {
            let subnet = subnet_at(base, at, size).ok_or_else(bad)?;
            let end = number(subnet.broadcast());
            while let Some((_, to)) = ranges.next_if(|(from, _)| *from <= end) {
                reach = reach.max(Some(to));
            }
            let Some(obstacle) = reach.filter(|reach| *reach >= at) else {
                return Ok(subnet);
            };
            // Behind whatever is in the way, rather than one step on: a stretch may hold 2^100 subnets.
            let beyond = obstacle.max(end);
            let Some(next) =
                beyond.checked_add(1).and_then(|next| next.checked_next_multiple_of(step))
            else {
                break;
            };
            at = next;
        }
    }
    Err(PoolError::NoMoreSubnets)
}

fn subnet_at(base: IpNet, at: u128, size: u8) -> Option<IpNet> {
    Some(match base {
        IpNet::V4(_) => Ipv4Net::new(Ipv4Addr::from(u32::try_from(at).ok()?), size).ok()?.into(),
        IpNet::V6(_) => Ipv6Net::new(Ipv6Addr::from(at), size).ok()?.into(),
    })
}

/// Whether two subnets share an address.
pub fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

/// Refuses a subnet that overlaps with one of `taken`.
pub fn check_free<'a>(
    subnet: IpNet,
    taken: impl IntoIterator<Item = &'a IpNet>,
) -> Result<(), PoolError> {
    match taken.into_iter().find(|other| overlap(&subnet, other)) {
        Some(other) => Err(PoolError::Overlaps { subnet, other: *other }),
        None => Ok(()),
    }
}

/// The `n`th /64 of the site that the random bytes stand for (RFC 4193): one site for each host, drawn once and kept.
pub fn unique_local(random: [u8; 5], n: u16) -> Ipv6Net {
    let [a, b, c, d, e] = random;
    let [high, low] = n.to_be_bytes();
    let address = Ipv6Addr::from([0xfd, a, b, c, d, e, high, low, 0, 0, 0, 0, 0, 0, 0, 0]);
    // 64 is a prefix length, so the other arm is never taken.
    Ipv6Net::new(address, 64).unwrap_or_else(|_length| address.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn subnets_are_handed_out_in_dockers_order() {
        let pools = default_pools();
        let mut taken = Vec::new();
        while let Ok(subnet) = choose_subnet(&pools, &taken) {
            taken.push(subnet);
        }
        assert_eq!(taken.len(), 31);
        assert_eq!(
            (taken[0], taken[14], taken[15]),
            (net("172.17.0.0/16"), net("172.31.0.0/16"), net("192.168.0.0/20"))
        );
        assert_eq!(taken[30], net("192.168.240.0/20"));
        assert_eq!(choose_subnet(&pools, &taken), Err(PoolError::NoMoreSubnets));
    }

    #[test]
    fn what_is_in_the_way_is_passed_over() {
        let check = |taken: &[&str], expected: &str| {
            let taken: Vec<IpNet> = taken.iter().map(|text| net(text)).collect();
            assert_eq!(choose_subnet(&default_pools(), &taken), Ok(net(expected)));
        };
        check(&["172.17.3.0/24"], "172.18.0.0/16");
        check(&["172.16.0.0/12"], "192.168.0.0/20");
        check(&["172.16.0.0/12", "192.168.1.0/24", "192.168.16.1/32"], "192.168.32.0/20");
        check(&["fd00::/8"], "172.17.0.0/16");
    }

    #[test]
    fn a_pool_of_astronomic_size_is_searched_at_once() {
        let pools = [DefaultPool { base: net("fd00::/8"), size: 64 }];
        let taken = [net("fd00::/9"), net("fd80::1/128")];
        assert_eq!(choose_subnet(&pools, &taken), Ok(net("fd80:0:0:1::/64")));
        assert_eq!(choose_subnet(&pools, &[net("::/0")]), Err(PoolError::NoMoreSubnets));
    }

    #[test]
    fn a_bad_default_pool_is_named() {
        let base = net("10.0.0.0/16");
        assert_eq!(
            choose_subnet(&[DefaultPool { base, size: 8 }], &[]),
            Err(PoolError::BadDefault { base, size: 8 })
        );
        assert!(choose_subnet(&[DefaultPool { base, size: 33 }], &[]).is_err());
        assert!(choose_subnet(&[DefaultPool { base: net("::/0"), size: 0 }], &[]).is_err());
    }

    #[test]
    fn overlaps_are_refused_in_dockers_words() {
        let taken = [net("10.1.0.0/16")];
        let error = check_free(net("10.1.2.0/24"), &taken).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid pool request: Pool overlaps with other one on this address space"
        );
        assert!(check_free(net("10.0.0.0/8"), &taken).is_err());
        assert!(check_free(net("10.2.0.0/16"), &taken).is_ok());
    }

    #[test]
    fn sites_of_ones_own() {
        assert_eq!(unique_local([1, 2, 3, 4, 5], 0x1234).to_string(), "fd01:203:405:1234::/64");
    }

    proptest! {
        #[test]
        fn a_chosen_subnet_overlaps_with_nothing(taken in prop::collection::vec((any::<u32>(), 8..=32_u8), 0..60)) {
            let taken: Vec<IpNet> = taken
                .into_iter()
                .map(|(address, prefix)| Ipv4Net::new(Ipv4Addr::from(0xac10_0000 | address & 0x000f_ffff), prefix.max(12)).unwrap().trunc().into())
                .collect();
            if let Ok(subnet) = choose_subnet(&default_pools(), &taken) {
                prop_assert!(check_free(subnet, &taken).is_ok());
            }
        }
    }
}
