//! Command lines to requests, and answers to lists, as docker's client (28) has them.
use super::*;
use crate::flags::{Order, parse};
use crate::render::template::{self, Row};
use naru_api_types::network::Network;
use serde_json::{Value, json};

fn message(failed: crate::exit::Failed) -> (u8, String) {
    (failed.status.0, failed.fault.map(|fault| fault.message().to_owned()).unwrap_or_default())
}

fn flags(command: &Command, line: &str) -> Result<crate::flags::Flags, crate::exit::Failed> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    Ok(parse(command.flags, Order::Mixed, &words)?)
}

fn create(line: &str) -> Result<Value, (u8, String)> {
    let request = flags(&CREATE, line).and_then(|flags| create::request(&flags));
    request.map(|request| json!(request)).map_err(message)
}

fn connect(line: &str) -> Result<Value, (u8, String)> {
    let request = flags(&CONNECT, line).and_then(|flags| connect::request(&flags));
    request.map(|request| json!(request)).map_err(message)
}

#[test]
fn a_network_is_asked_for_as_docker_asks() {
    assert_eq!(
        create("n2").unwrap(),
        json!({"Driver":"bridge","Scope":"","IPAM":{"Driver":"default","Options":{},"Config":[]},
            "Internal":false,"Attachable":false,"Ingress":false,"ConfigOnly":false,"ConfigFrom":null,
            "Options":{},"Labels":{},"Name":"n2"})
    );
    assert_eq!(
        create(
            "-d bridge --subnet 10.9.0.0/24 --ip-range 10.9.0.128/25 --gateway 10.9.0.1 \
             --aux-address a=10.9.0.2 --subnet fd00:1::/64 --ipv6 --internal --attachable \
             --label a=b --label c -o com.docker.network.driver.mtu=1400 --ipam-opt x=y n1"
        )
        .unwrap(),
        json!({"Driver":"bridge","Scope":"","EnableIPv6":true,"IPAM":{"Driver":"default",
            "Options":{"x":"y"},"Config":[{"Subnet":"10.9.0.0/24","IPRange":"10.9.0.128/25",
            "Gateway":"10.9.0.1","AuxiliaryAddresses":{"a":"10.9.0.2"}},{"Subnet":"fd00:1::/64"}]},
            "Internal":true,"Attachable":true,"Ingress":false,"ConfigOnly":false,"ConfigFrom":null,
            "Options":{"com.docker.network.driver.mtu":"1400"},"Labels":{"a":"b","c":""},"Name":"n1"})
    );
    for (line, pointer, expected) in [
        ("n --ipv4=false --ipv6", "/EnableIPv4", json!(false)),
        ("n --ipv6=false", "/EnableIPv6", json!(false)),
        ("n --ipv4", "/EnableIPv4", json!(true)),
        ("n -d macvlan", "/Driver", json!("macvlan")),
        ("n --ipam-driver x", "/IPAM/Driver", json!("x")),
        ("n -o a", "/Options", json!({"a": ""})),
        ("n -o a=b=c", "/Options", json!({"a": "b=c"})),
        ("n --label a=b=c", "/Labels", json!({"a": "b=c"})),
        (
            "n --subnet 10.0.0.0/24,10.0.1.0/24",
            "/IPAM/Config",
            json!([{"Subnet": "10.0.0.0/24"}, {"Subnet": "10.0.1.0/24"}]),
        ),
    ] {
        assert_eq!(create(line).unwrap().pointer(pointer), Some(&expected), "{line}");
    }
}

#[test]
fn what_cannot_be_made_is_refused() {
    for (line, status, text) in [
        ("n --gateway 10.0.0.1", 1, "every ip-range or gateway must have a corresponding subnet"),
        ("n --subnet 10.0.0.0/24 --gateway xx", 1, "no matching subnet for gateway xx"),
        (
            "n --ipv6=x",
            125,
            "invalid argument \"x\" for \"--ipv6\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
        (
            "n --label =",
            125,
            "invalid argument \"=\" for \"--label\" flag: invalid label '=': empty name",
        ),
        ("n --config-only", 125, "flag `--config-only` is not supported"),
        ("n --config-from x", 125, "flag `--config-from` is not supported"),
        ("n --scope swarm", 125, "flag `--scope` is not supported"),
        ("n --ingress", 125, "flag `--ingress` is not supported"),
    ] {
        assert_eq!(create(line).unwrap_err(), (status, text.to_owned()), "{line}");
    }
    for (line, status, text) in [
        (
            "n c --link a:b:c",
            125,
            "invalid argument \"a:b:c\" for \"--link\" flag: bad format for links: a:b:c",
        ),
        ("n c --driver-opt x", 1, "invalid key/value pair format in driver options"),
        ("n c --driver-opt =b", 1, "invalid key/value pair format in driver options"),
        (
            "n c --gw-priority x",
            125,
            "invalid argument \"x\" for \"--gw-priority\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
    ] {
        assert_eq!(connect(line).unwrap_err(), (status, text.to_owned()), "{line}");
    }
}

#[test]
fn a_container_is_connected_as_docker_connects() {
    let rest = json!({"MacAddress":"","NetworkID":"","EndpointID":"","Gateway":"","IPAddress":"",
        "IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":null});
    for (line, own) in [
        ("n c1", json!({"IPAMConfig":{},"Links":null,"Aliases":[],"DriverOpts":{},"GwPriority":0})),
        (
            "--ip 10.9.0.5 --ip6 fd00:1::5 --link a:b --alias z,y --link-local-ip 169.254.1.1 \
             --driver-opt a=b --gw-priority 3 n c1",
            json!({"IPAMConfig":{"IPv4Address":"10.9.0.5","IPv6Address":"fd00:1::5",
                "LinkLocalIPs":["169.254.1.1"]},"Links":["a:b"],"Aliases":["z","y"],
                "DriverOpts":{"a":"b"},"GwPriority":3}),
        ),
    ] {
        let mut endpoint = own;
        endpoint.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let expected = json!({"Container": "c1", "EndpointConfig": endpoint});
        assert_eq!(connect(line).unwrap(), expected, "{line}");
    }
}

fn rows(whole: bool) -> Vec<Row> {
    let networks: Vec<Network> = serde_json::from_value(json!([
        {"Name":"a9","Id":"bad86d31b1478e7cca9ebed7e73aa0fdeec46c5ca29497431d3007d2d9e15ed99",
         "Created":"2016-10-19T06:21:00.5Z","Scope":"local","Driver":"host","Labels":null},
        {"Name":"zeta","Id":"7d86d31b1478e7cca9ebed7e73aa0fdeec46c5ca29497431d3007d2d9e15ed99",
         "Created":"2026-10-19T06:21:00.416543526Z","Scope":"local","Driver":"bridge","EnableIPv4":true,
         "EnableIPv6":true,"Internal":true,"Labels":{"b":"1","a":"2"}},
    ]))
    .unwrap();
    networks.iter().map(|network| list::row(network, whole)).collect()
}

#[test]
fn the_list_is_docker_s() {
    let check = |format: Option<&str>, rows: &[Row], expected: &str| {
        let format = template::parse_format(format, list::TABLE);
        assert_eq!(template::render_list(&format, list::HEADERS, rows).unwrap(), expected);
    };
    check(
        None,
        &rows(false),
        "NETWORK ID     NAME      DRIVER    SCOPE\n\
         bad86d31b147   a9        host      local\n\
         7d86d31b1478   zeta      bridge    local\n",
    );
    check(
        None,
        &rows(true)[..1],
        "NETWORK ID                                                          NAME      DRIVER    SCOPE\n\
         bad86d31b1478e7cca9ebed7e73aa0fdeec46c5ca29497431d3007d2d9e15ed99   a9        host      local\n",
    );
    check(
        Some(
            "{{.ID}} {{.Name}} {{.IPv4}} {{.IPv6}} {{.Internal}} {{.Labels}} {{.Label \"a\"}} {{.CreatedAt}}",
        ),
        &rows(false),
        "bad86d31b147 a9 false false false   2016-10-19 06:21:00.5 +0000 UTC\n\
         7d86d31b1478 zeta true true true a=2,b=1 2 2026-10-19 06:21:00.416543526 +0000 UTC\n",
    );
    check(
        Some("json"),
        &rows(false)[..1],
        "{\"CreatedAt\":\"2016-10-19 06:21:00.5 +0000 UTC\",\"Driver\":\"host\",\"ID\":\"bad86d31b147\",\
         \"IPv4\":\"false\",\"IPv6\":\"false\",\"Internal\":\"false\",\"Labels\":\"\",\"Name\":\"a9\",\
         \"Scope\":\"local\"}\n",
    );
    check(
        Some("table {{.Name}}\\t{{.IPv6}}\\t{{.Label \"a\"}}"),
        &rows(false),
        "NAME      IPV6      a\na9        false     \nzeta      true      2\n",
    );
}
