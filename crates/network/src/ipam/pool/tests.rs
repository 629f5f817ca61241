use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pool(subnet: &str) -> Pool {
    Pool::new(PoolSpec::new("web (0123456789ab)", net(subnet))).unwrap()
}

fn drain(pool: &mut Pool) -> Vec<String> {
    std::iter::from_fn(|| pool.allocate().ok()).map(|ip| ip.to_string()).collect()
}

#[test]
fn small_subnets_are_used_up_and_no_further() {
    let check = |subnet: &str, gateway: Option<&str>, expected: &[&str]| {
        let mut pool = pool(subnet);
        assert_eq!(pool.gateway().map(|ip| ip.to_string()).as_deref(), gateway);
        assert_eq!(drain(&mut pool), expected);
    };
    check(
        "10.0.0.0/29",
        Some("10.0.0.1"),
        &["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"],
    );
    check("10.0.0.0/30", Some("10.0.0.1"), &["10.0.0.2"]);
    check("10.0.0.0/31", Some("10.0.0.0"), &["10.0.0.1"]);
    check("fd00::/126", Some("fd00::1"), &["fd00::2", "fd00::3"]);
    check("fd00::/127", Some("fd00::"), &["fd00::1"]);
    check(
        "255.255.255.248/29",
        Some("255.255.255.249"),
        &[
            "255.255.255.250",
            "255.255.255.251",
            "255.255.255.252",
            "255.255.255.253",
            "255.255.255.254",
        ],
    );
    let single = PoolSpec::new("x", net("10.0.0.1/32"));
    assert_eq!(
        Pool::new(single.clone()).unwrap_err(),
        PoolError::TooSmall { subnet: net("10.0.0.1/32") }
    );
    let mut single = Pool::new(PoolSpec { gateway: Gateway::Absent, ..single }).unwrap();
    assert_eq!(drain(&mut single), ["10.0.0.1"]);
}

#[test]
fn exhaustion_names_the_network_in_dockers_words() {
    let mut pool = pool("10.0.0.0/30");
    drain(&mut pool);
    assert_eq!(
        pool.allocate().unwrap_err().to_string(),
        "no available IPv4 addresses on this network's address pools: web (0123456789ab)"
    );
}

#[test]
fn a_returned_address_is_used_again_as_late_as_possible() {
    let mut pool = pool("10.0.0.0/29");
    let first = pool.allocate().unwrap();
    assert!(pool.release(first));
    assert!(!pool.release(first));
    assert_eq!(drain(&mut pool), ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]);
    pool.release(ip("10.0.0.4"));
    assert_eq!(pool.allocate().unwrap(), ip("10.0.0.4"));
}

#[test]
fn a_pool_goes_on_where_it_was_before_a_restart() {
    let mut pool = pool("10.0.0.0/29");
    pool.resume_behind(ip("10.0.0.5"));
    assert_eq!(drain(&mut pool), ["10.0.0.6", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"]);
    pool.resume_behind(ip("192.0.2.1"));
}

#[test]
fn fixed_addresses() {
    let mut pool = pool("10.0.0.0/24");
    pool.claim(ip("10.0.0.2")).unwrap();
    assert_eq!(pool.claim(ip("10.0.0.2")), Err(PoolError::Taken { ip: ip("10.0.0.2") }));
    assert_eq!(pool.claim(ip("10.0.1.2")), Err(PoolError::Outside { ip: ip("10.0.1.2") }));
    assert_eq!(pool.claim(ip("fd00::1")), Err(PoolError::Outside { ip: ip("fd00::1") }));
    for reserved in ["10.0.0.0", "10.0.0.1", "10.0.0.255"] {
        let error = pool.claim(ip(reserved)).unwrap_err();
        assert!(matches!(error, PoolError::Reserved { .. }), "{reserved}: {error:?}");
        assert!(!pool.release(ip(reserved)));
    }
    assert_eq!(pool.allocate().unwrap(), ip("10.0.0.3"));
    assert_eq!(pool.claimed().collect::<Vec<_>>(), [ip("10.0.0.2"), ip("10.0.0.3")]);
    assert_eq!(pool.with_prefix(ip("10.0.0.3")).to_string(), "10.0.0.3/24");
}

#[test]
fn ranges_gateways_and_auxiliary_addresses() {
    let spec = |range: &str| PoolSpec {
        range: Some(net(range)),
        gateway: Gateway::At(ip("10.0.5.2")),
        auxiliary: [("printer".to_owned(), ip("10.0.5.1"))].into(),
        ..PoolSpec::new("x", net("10.0.0.0/16"))
    };
    let mut pool = Pool::new(spec("10.0.5.0/30")).unwrap();
    assert_eq!(drain(&mut pool), ["10.0.5.0", "10.0.5.3"]);
    pool.claim(ip("10.0.200.7")).unwrap();
    assert!(
        matches!(pool.claim(ip("10.0.5.1")), Err(PoolError::Reserved { purpose, .. }) if purpose.contains("printer"))
    );
    // A range at the subnet's edge does not hand out the edge.
    let mut pool = Pool::new(spec("10.0.255.252/30")).unwrap();
    assert_eq!(drain(&mut pool), ["10.0.255.252", "10.0.255.253", "10.0.255.254"]);
}

#[test]
fn what_does_not_fit_together_is_refused_by_name() {
    let refuse = |spec: PoolSpec, text: &str| {
        assert_eq!(Pool::new(spec).unwrap_err().to_string(), text);
    };
    let spec = || PoolSpec::new("x", net("10.0.0.0/24"));
    refuse(
        PoolSpec::new("x", net("10.0.0.5/24")),
        "invalid subnet 10.0.0.5/24: it should be 10.0.0.0/24",
    );
    refuse(
        PoolSpec { range: Some(net("10.0.0.5/28")), ..spec() },
        "invalid ip-range 10.0.0.5/28: it should be 10.0.0.0/28",
    );
    refuse(
        PoolSpec { range: Some(net("10.0.1.0/24")), ..spec() },
        "no matching subnet for range 10.0.1.0/24",
    );
    refuse(
        PoolSpec { range: Some(net("10.0.0.0/16")), ..spec() },
        "no matching subnet for range 10.0.0.0/16",
    );
    refuse(
        PoolSpec { gateway: Gateway::At(ip("10.0.1.1")), ..spec() },
        "no matching subnet for gateway 10.0.1.1",
    );
    refuse(
        PoolSpec { auxiliary: [("a".to_owned(), ip("fd00::1"))].into(), ..spec() },
        "no matching subnet for aux-address fd00::1",
    );
    let twice = PoolSpec { auxiliary: [("a".to_owned(), ip("10.0.0.1"))].into(), ..spec() };
    assert!(matches!(Pool::new(twice), Err(PoolError::Twice { .. })));
}

#[test]
fn a_large_subnet_costs_what_is_taken() {
    let mut pool = pool("fd12:3456:789a::/64");
    for n in 0..5000_u128 {
        assert_eq!(pool.allocate().unwrap(), pool.address(number(ip("fd12:3456:789a::2")) + n));
    }
    assert_eq!(pool.count(), 5002);
}

proptest! {
    #[test]
    fn nobody_gets_what_another_has(steps in prop::collection::vec((0..3_u8, 0..70_u32), 0..300)) {
        let mut pool = pool("10.0.0.0/26");
        let mut model: BTreeSet<IpAddr> = BTreeSet::new();
        let usable: BTreeSet<IpAddr> = (2..63).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        for (step, n) in steps {
            let ip = IpAddr::from(Ipv4Addr::from(0x0a00_0000 + n));
            match step {
                0 => match pool.allocate() {
                    Ok(ip) => prop_assert!(usable.contains(&ip) && model.insert(ip)),
                    Err(_) => prop_assert_eq!(&model, &usable),
                },
                1 => {
                    let free = usable.contains(&ip) && !model.contains(&ip);
                    prop_assert_eq!(pool.claim(ip).is_ok(), free);
                    if free {
                        model.insert(ip);
                    }
                }
                _ => prop_assert_eq!(pool.release(ip), model.remove(&ip)),
            }
            prop_assert_eq!(pool.claimed().collect::<BTreeSet<_>>(), model.clone());
        }
    }
}
