//! How the daemon makes networks: flags under dockerd's names, the configuration file, and names that no other daemon of
//! this host has. Pure.

use super::{Flags, file::File};
use ipnet::IpNet;
use naru_engine::NetworkOptions;
use naru_errdefs::Fault;
use naru_network::ipam::DefaultPool;
use serde::Deserialize;
use std::net::IpAddr;
use std::path::Path;

/// A pool that subnets are cut from, as the configuration file has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AddressPool {
    /// `10.0.0.0/8`
    pub base: String,
    /// The length of each subnet's prefix.
    pub size: u8,
}

/// The options of flags and file together. That no option is in both was checked before.
pub fn options(flags: &Flags, file: &File, exec_root: &Path) -> Result<NetworkOptions, Fault> {
    let usual = NetworkOptions::for_exec_root(exec_root);
    let bridge = match flags.bridge.as_ref().or(file.bridge.as_ref()) {
        Some(name) if name == "none" => {
            return Err(Fault::unsupported("`--bridge none` is not supported").with_hint(
                "the default network takes nothing of the host until a container uses it",
            ));
        }
        Some(name) if naru_network::link::valid_name(name) => name.clone(),
        Some(name) => return Err(Fault::invalid(format!("invalid bridge name `{name}`"))),
        None => usual.bridge.clone(),
    };
    let mut pools = Vec::new();
    for text in &flags.default_address_pool {
        pools.push(pool_flag(text)?);
    }
    for pool in file.default_address_pools.iter().flatten() {
        pools.push(pool_of(&pool.base, pool.size)?);
    }
    let bridge_address = flags
        .bip
        .as_ref()
        .or(file.bip.as_ref())
        .map(|text| {
            text.parse::<IpNet>()
                .map_err(|_syntax| Fault::invalid(format!("invalid CIDR address: {text}")))
        })
        .transpose()?;
    let mut sources = Vec::new();
    let asked = flags.publish_source.iter().chain(file.publish_sources.iter().flatten());
    for text in asked {
        let net =
            text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        sources.push(net.ok_or_else(|| {
            Fault::invalid(format!("invalid source of `--publish-source`: {text}"))
                .with_hint("give an address or a prefix, as 192.168.1.0/24")
        })?);
    }
    let mut dns = Vec::new();
    for text in flags.dns.iter().chain(file.dns.iter().flatten()) {
        dns.push(
            text.parse::<IpAddr>()
                .map_err(|_syntax| Fault::invalid(format!("{text} is not an ip address")))?,
        );
    }
    let publish_address = flags
        .ip
        .as_ref()
        .or(file.ip.as_ref())
        .map(|text| {
            text.parse::<IpAddr>()
                .map_err(|_syntax| Fault::invalid(format!("{text} is not an ip address")))
        })
        .transpose()?
        .filter(|address| !address.is_unspecified());
    Ok(NetworkOptions {
        bridge,
        pools,
        bridge_address,
        allowed_sources: Some(sources).filter(|sources| !sources.is_empty()),
        publish_address,
        ipv6: flags.ipv6 || file.ipv6.unwrap_or(false),
        mtu: flags.mtu.or(file.mtu).unwrap_or(0),
        dns,
        ..usual
    })
}

fn pool_flag(text: &str) -> Result<DefaultPool, Fault> {
    let bad = || {
        Fault::invalid(format!("invalid default address pool `{text}`"))
            .with_hint("write base=10.10.0.0/16,size=24")
    };
    let (mut base, mut size) = (None, None);
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("base", value)) => base = Some(value),
            Some(("size", value)) => size = value.parse::<u8>().ok(),
            _ => return Err(bad()),
        }
    }
    pool_of(base.ok_or_else(bad)?, size.ok_or_else(bad)?)
}

fn pool_of(base: &str, size: u8) -> Result<DefaultPool, Fault> {
    let base = base.parse::<IpNet>().map_err(|_syntax| {
        Fault::invalid(format!("invalid base of a default address pool: {base}"))
    })?;
    Ok(DefaultPool { base, size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn check(flags: &[&str], file: &str) -> Result<NetworkOptions, String> {
        let flags = Flags::try_parse_from([&["naru daemon"], flags].concat()).unwrap();
        let file = File::parse(file).map_err(|fault| fault.message().to_owned())?;
        options(&flags, &file, Path::new("/run/x")).map_err(|fault| fault.message().to_owned())
    }

    #[test]
    fn names_are_the_daemons_own() {
        let names = |path: &str| {
            let options = NetworkOptions::for_exec_root(Path::new(path));
            (options.bridge, options.table)
        };
        assert_eq!(names("/run/naru"), ("naru0".to_owned(), "naru".to_owned()));
        let (bridge, table) = names("/run/other");
        assert!(bridge.len() <= 15 && bridge != "naru0", "{bridge}");
        assert!(table.starts_with("naru-"), "{table}");
        assert_ne!(names("/run/a"), names("/run/b"));
    }

    #[test]
    fn flags_and_file_say_the_same_things() {
        let flags = check(
            &[
                "--bip",
                "10.9.0.1/24",
                "--mtu",
                "1400",
                "--dns",
                "10.0.0.1",
                "--ip",
                "127.0.0.1",
                "--default-address-pool",
                "base=10.8.0.0/16,size=24",
                "--publish-source",
                "10.1.0.0/16",
                "--ipv6",
                "-b",
                "mybr",
            ],
            "{}",
        );
        let file = check(
            &[],
            r#"{"bip":"10.9.0.1/24","mtu":1400,"dns":["10.0.0.1"],"ip":"127.0.0.1","ipv6":true,"bridge":"mybr",
                "default-address-pools":[{"base":"10.8.0.0/16","size":24}],"publish-sources":["10.1.0.0/16"]}"#,
        );
        let (flags, file) = (flags.unwrap(), file.unwrap());
        assert_eq!(format!("{flags:?}"), format!("{file:?}"));
        assert_eq!((flags.bridge.as_str(), flags.mtu, flags.ipv6), ("mybr", 1400, true));
    }

    #[test]
    fn wrong_settings_are_named() {
        for (flags, message) in [
            (&["--bip", "10.9.0.1"][..], "invalid CIDR address: 10.9.0.1"),
            (&["--dns", "x"], "x is not an ip address"),
            (&["--default-address-pool", "base=10.0.0.0/8"], "invalid default address pool"),
            (&["--publish-source", "x"], "invalid source of `--publish-source`: x"),
            (&["--bridge", "none"], "`--bridge none` is not supported"),
            (&["--bridge", "a/b"], "invalid bridge name `a/b`"),
        ] {
            let said = check(flags, "{}").unwrap_err();
            assert!(said.contains(message), "{flags:?}: {said}");
        }
    }
}
