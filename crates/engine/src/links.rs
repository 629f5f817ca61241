//! Pure: links of the default network (`--link`), as Docker has had them since before there were names: what a container
//! is told in its environment of another one.

use crate::networks::ports;
use std::net::IpAddr;

/// A link, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link<'a> {
    /// The other container, by name or ID.
    pub(crate) target: &'a str,
    /// What it is called here.
    pub(crate) alias: &'a str,
}

impl Link<'_> {
    /// Reads `CONTAINER[:ALIAS]`.
    pub(crate) fn parse(text: &str) -> Link<'_> {
        let (target, alias) = text.split_once(':').unwrap_or((text, text));
        Link {
            target: target.trim_start_matches('/'),
            alias: alias.rsplit('/').next().unwrap_or(alias),
        }
    }
}

/// What is told of a linked container.
#[derive(Debug, Clone)]
pub(crate) struct Child<'a> {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The ports that it means to be reached at (`80/tcp`).
    pub(crate) exposed: Vec<&'a str>,
    /// Its variables.
    pub(crate) env: &'a [String],
}

/// The variables that tell the container `parent` of a linked one.
pub(crate) fn environment(parent: &str, alias: &str, child: &Child<'_>) -> Vec<String> {
    let prefix = alias.to_uppercase().replace('-', "_");
    let ip = child.address;
    let mut list: Vec<(u16, String)> =
        child.exposed.iter().filter_map(|text| ports::parse(text).ok()).collect();
    // The lowest port is the one that is meant; of two with the same number that of TCP.
    list.sort_by(|a, b| (a.0, a.1 != "tcp", &a.1).cmp(&(b.0, b.1 != "tcp", &b.1)));
    let mut env = Vec::new();
    if let Some((port, proto)) = list.first() {
        env.push(format!("{prefix}_PORT={proto}://{ip}:{port}"));
    }
    for run in list.chunk_by(|a, b| b.0 == a.0.saturating_add(1)) {
        let ([(first, proto), .., (last, last_proto)], true) = (run, run.len() > 1) else {
            continue;
        };
        let one = format!("{prefix}_PORT_{first}_{}", proto.to_uppercase());
        let end = format!("{prefix}_PORT_{first}_{}", last_proto.to_uppercase());
        env.push(format!("{one}_START={proto}://{ip}:{first}"));
        env.push(format!("{one}_ADDR={ip}"));
        env.push(format!("{one}_PROTO={proto}"));
        env.push(format!("{one}_PORT_START={first}"));
        env.push(format!("{end}_END={last_proto}://{ip}:{last}"));
        env.push(format!("{end}_PORT_END={last}"));
    }
    for (port, proto) in &list {
        let one = format!("{prefix}_PORT_{port}_{}", proto.to_uppercase());
        env.push(format!("{one}={proto}://{ip}:{port}"));
        env.push(format!("{one}_ADDR={ip}"));
        env.push(format!("{one}_PORT={port}"));
        env.push(format!("{one}_PROTO={proto}"));
    }
    env.push(format!("{prefix}_NAME=/{parent}/{alias}"));
    let told = child.env.iter().filter_map(|variable| variable.split_once('='));
    env.extend(
        told.filter(|(name, _)| !matches!(*name, "HOME" | "PATH"))
            .map(|(name, value)| format!("{prefix}_ENV_{name}={value}")),
    );
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_taken_apart() {
        for (text, target, alias) in [
            ("db", "db", "db"),
            ("db:store", "db", "store"),
            ("/db:/web/store", "db", "store"),
            ("/db", "db", "db"),
        ] {
            assert_eq!(Link::parse(text), Link { target, alias });
        }
    }

    #[test]
    fn a_linked_container_is_told_of_in_dockers_variables() {
        let env: Vec<String> =
            ["PATH=/bin", "HOME=/", "FOO=1", "EMPTY=", "NAMELESS"].map(str::to_owned).into();
        let child = |exposed: &[&'static str]| Child {
            address: "172.17.0.2".parse().unwrap(),
            exposed: exposed.to_vec(),
            env: &env,
        };
        assert_eq!(
            environment("web", "my-db", &child(&[])),
            ["MY_DB_NAME=/web/my-db", "MY_DB_ENV_FOO=1", "MY_DB_ENV_EMPTY="]
        );
        let told = environment("web", "db", &child(&["6379/udp", "6379/tcp", "80/tcp"]));
        assert_eq!(
            told.get(..9).unwrap(),
            [
                "DB_PORT=tcp://172.17.0.2:80",
                "DB_PORT_80_TCP=tcp://172.17.0.2:80",
                "DB_PORT_80_TCP_ADDR=172.17.0.2",
                "DB_PORT_80_TCP_PORT=80",
                "DB_PORT_80_TCP_PROTO=tcp",
                "DB_PORT_6379_TCP=tcp://172.17.0.2:6379",
                "DB_PORT_6379_TCP_ADDR=172.17.0.2",
                "DB_PORT_6379_TCP_PORT=6379",
                "DB_PORT_6379_TCP_PROTO=tcp",
            ]
        );
        let told = environment("web", "db", &child(&["80/tcp", "81/tcp"]));
        assert_eq!(
            told.get(..7).unwrap(),
            [
                "DB_PORT=tcp://172.17.0.2:80",
                "DB_PORT_80_TCP_START=tcp://172.17.0.2:80",
                "DB_PORT_80_TCP_ADDR=172.17.0.2",
                "DB_PORT_80_TCP_PROTO=tcp",
                "DB_PORT_80_TCP_PORT_START=80",
                "DB_PORT_80_TCP_END=tcp://172.17.0.2:81",
                "DB_PORT_80_TCP_PORT_END=81",
            ]
        );
    }
}
