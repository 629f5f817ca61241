//! Every flag of docker's commands about networks, and what `port` and `inspect` make of what they made, by docker's client
//! and by ours. Acts: on a network of its own, so that all subnets and ports are free.

use integration_tests::{Daemon, Done};

type Client = fn(&Daemon, &[&str]) -> Done;
const CLIENTS: [Client; 2] = [Daemon::docker, Daemon::naru];

#[track_caller]
fn daemon() -> Daemon {
    Daemon::start_apart(&[]).with_busybox("box")
}

/// Words separated by spaces.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn network_create_knows_every_flag() {
    let daemon = daemon();
    // The flags, a template, and what it must show.
    let table = [
        ("--attachable", "{{.Attachable}}", "true"),
        ("--internal", "{{.Internal}}", "true"),
        ("-d bridge", "{{.Driver}} {{.Scope}}", "bridge local"),
        ("--driver=macvlan", "{{.Driver}}", "macvlan"),
        ("-d ipvlan -o ipvlan_mode=l3", "{{.Driver}} {{.Options}}", "ipvlan map[ipvlan_mode:l3]"),
        ("--ipv6", "{{.EnableIPv6}} {{len .IPAM.Config}}", "true 2"),
        ("--ipv4=false --ipv6", "{{.EnableIPv4}} {{.EnableIPv6}}", "false true"),
        ("--ipam-driver default", "{{.IPAM.Driver}}", "default"),
        ("--label a=b --label c", "{{json .Labels}}", r#"{"a":"b","c":""}"#),
        (
            "--subnet 10.55.0.0/16 --ip-range 10.55.7.0/24 --gateway 10.55.0.9 --aux-address tv=10.55.7.1",
            "{{range .IPAM.Config}}{{.Subnet}} {{.IPRange}} {{.Gateway}} {{.AuxiliaryAddresses}}{{end}}",
            "10.55.0.0/16 10.55.7.0/24 10.55.0.9 map[tv:10.55.7.1]",
        ),
        (
            "--ipv6 --subnet 10.56.0.0/24 --subnet fd56::/64 --gateway fd56::9",
            // Docker's client says them in any order.
            "{{len .IPAM.Config}} {{range .IPAM.Config}}{{if eq .Gateway \"fd56::9\"}}{{.Subnet}}{{end}}{{end}}",
            "2 fd56::/64",
        ),
        (
            "-o com.docker.network.bridge.name=br-flag -o com.docker.network.driver.mtu=1300",
            r#"{{index .Options "com.docker.network.bridge.name"}}"#,
            "br-flag",
        ),
        (
            "-o com.docker.network.bridge.enable_icc=false -o com.docker.network.bridge.enable_ip_masquerade=false",
            "{{len .Options}}",
            "2",
        ),
    ];
    for client in CLIENTS {
        for (flags, template, want) in table {
            let create = [&["network", "create"], words(flags).as_slice(), &["net"]].concat();
            client(&daemon, &create).ok();
            let shown = client(&daemon, &["network", "inspect", "--format", template, "net"]).ok();
            assert_eq!(shown.text(), want, "{flags}");
            client(&daemon, &["network", "rm", "net"]).ok();
        }
        for (flags, code, part) in [
            ("-d overlay", 1, "needs a cluster"),
            ("-d weave", 1, "plugin \"weave\" not found"),
            ("-d host", 1, "only one instance of \"host\" network is allowed"),
            ("--ipam-driver odd", 1, "plugin \"odd\" not found"),
            ("--ipam-opt a=b", 1, "`a` is not supported"),
            ("-o colour=red", 1, "`colour` of network driver `bridge` is not supported"),
            ("-o com.docker.network.driver.mtu=9", 1, "invalid value"),
            ("--subnet 10.57.0.0/24 --gateway 10.58.0.1", 1, "no matching subnet"),
            ("--subnet 10.57.0.1/24", 1, "it should be 10.57.0.0/24"),
            ("--ipv4=false", 1, "IPv4 or IPv6 must be enabled"),
        ] {
            let create = [&["network", "create"], words(flags).as_slice(), &["net"]].concat();
            client(&daemon, &create).fails(code, part);
        }
    }
}

#[test]
fn what_belongs_to_clusters_is_refused_by_name() {
    let daemon = daemon();
    for flags in ["--config-only", "--config-from other", "--ingress", "--scope swarm"] {
        let create = [&["network", "create"], words(flags).as_slice(), &["net"]].concat();
        for client in CLIENTS {
            let done = client(&daemon, &create);
            assert!(done.code != 0 && done.stderr.contains("not supported"), "{flags}: {done:?}");
        }
    }
    // Every network is local, so to say so changes nothing.
    daemon.docker(&words("network create --scope local net")).ok();
    for flags in ["--type mount", "--sharing all --scope multi", "--group g --required-bytes 1"] {
        let create = [&["volume", "create"], words(flags).as_slice(), &["vol"]].concat();
        for client in CLIENTS {
            let done = client(&daemon, &create);
            assert!(done.code != 0, "{flags}: {done:?}");
        }
    }
    for client in CLIENTS {
        assert_ne!(client(&daemon, &words("volume update --availability drain vol")).code, 0);
        assert_eq!(client(&daemon, &words("volume ls -q")).ok().text(), "");
    }
}

#[test]
fn network_connect_knows_every_flag() {
    let daemon = daemon();
    for client in CLIENTS {
        let create = "network create --ipv6 --subnet 10.61.0.0/24 --subnet fd61::/64 net";
        client(&daemon, &words(create)).ok();
        client(&daemon, &words("network create other")).ok();
        client(&daemon, &words("run -d --name one box sleep 600")).ok();
        client(&daemon, &words("run -d --name two --network net box sleep 600")).ok();
        let connect = "network connect --ip 10.61.0.77 --ip6 fd61::77 --link-local-ip 169.254.7.7 --alias uno --alias eins \
            --link two:zwei --driver-opt com.example.a=b --driver-opt com.docker.network.endpoint.ifname=lan0 \
            --gw-priority 5 net one";
        client(&daemon, &words(connect)).ok();
        let template = "{{with .NetworkSettings.Networks.net}}{{.IPAddress}} {{.GlobalIPv6Address}} {{.IPAMConfig.LinkLocalIPs}} \
            {{.Aliases}} {{.Links}} {{len .DriverOpts}} {{.GwPriority}}{{end}}";
        let shown = client(&daemon, &["inspect", "-f", template, "one"]).ok();
        assert_eq!(
            words(shown.text()).join(" "),
            "10.61.0.77 fd61::77 [169.254.7.7] [uno eins] [two:zwei] 2 5"
        );
        let seen = client(&daemon, &words("exec one ip address show lan0")).ok();
        for address in ["10.61.0.77/24", "fd61::77/64", "169.254.7.7/16"] {
            assert!(seen.stdout.contains(address), "{}", seen.stdout);
        }
        for (who, name) in [("two", "uno"), ("two", "eins"), ("one", "zwei")] {
            client(&daemon, &["exec", who, "ping", "-c", "1", "-W", "5", name]).ok();
        }
        client(&daemon, &words("network connect net one"))
            .fails(1, "already exists in network net");
        client(&daemon, &words("network connect --ip 10.62.0.1 other one")).fails(1, "IP");
        client(&daemon, &words("network connect nosuch one")).fails(1, "network nosuch not found");
        client(&daemon, &words("network connect net nosuch")).fails(1, "No such container: nosuch");
        client(&daemon, &words("network connect host one")).fails(1, "host network");
        let verbose =
            client(&daemon, &["network", "inspect", "-v", "-f", "{{len .Containers}}", "net"]);
        assert_eq!(verbose.ok().text(), "2");
        client(&daemon, &words("network disconnect net one")).ok();
        client(&daemon, &words("network disconnect net one")).fails(1, "is not connected to");
        client(&daemon, &words("network disconnect -f net two")).ok();
        client(&daemon, &words("network disconnect --force net nosuch")).ok();
        client(&daemon, &words("rm -f one two")).ok();
        client(&daemon, &words("network rm net other")).ok();
    }
}

#[test]
fn networks_are_listed_filtered_pruned_and_removed() {
    let daemon = daemon();
    for client in CLIENTS {
        let id = client(&daemon, &words("network create --label k=v lan-a")).ok().text().to_owned();
        client(&daemon, &words("network create -d macvlan lan-b")).ok();
        client(&daemon, &words("run -d --name one --network lan-a box sleep 600")).ok();
        let short = id.get(..12).expect("an ID");
        for (flags, want) in [
            ("-q --filter name=lan-a", short),
            ("-q --no-trunc --filter name=lan-a", &id),
            ("--filter label=k --format {{.Name}}", "lan-a"),
            ("--filter label=k=w --format {{.Name}}", ""),
            ("--filter driver=macvlan --format {{.Name}}", "lan-b"),
            ("--filter type=custom --format {{.Name}}", "lan-a lan-b"),
            ("--filter type=builtin --format {{.Name}}", "bridge host none"),
            ("--filter dangling=true --format {{.Name}}", "lan-b"),
            ("--filter scope=local --filter name=lan- --format {{.Name}}", "lan-a lan-b"),
            ("--filter scope=swarm -q", ""),
            ("--filter driver=null --format {{.Driver}}{{.Internal}}{{.IPv6}}", "nullfalsefalse"),
        ] {
            let list = [&["network", "ls"], words(flags).as_slice()].concat();
            let listed = client(&daemon, &list).ok();
            assert_eq!(words(&listed.stdout).join(" "), want, "{flags}");
        }
        let json = client(&daemon, &words("network ls --filter label=k --format json")).ok();
        assert!(json.stdout.contains(r#""Name":"lan-a""#), "{}", json.stdout);
        client(&daemon, &words("network ls --filter colour=red")).fails(1, "colour");
        client(&daemon, &words("network prune -f --filter until=1h")).ok();
        client(&daemon, &words("network inspect lan-b")).ok();
        let pruned = client(&daemon, &words("network prune -f --filter label!=k")).ok();
        assert_eq!(pruned.text(), "Deleted Networks:\nlan-b");
        client(&daemon, &words("network rm lan-a")).fails(1, "has active endpoints");
        client(&daemon, &words("rm -f one")).ok();
        client(&daemon, &words("network rm -f lan-a nosuch")).ok();
        client(&daemon, &words("network rm nosuch")).fails(1, "network nosuch not found");
    }
}

#[test]
fn port_and_inspect_show_what_is_there() {
    let daemon = daemon();
    for client in CLIENTS {
        let run = "run -d --name web -p 127.0.0.1:18080:80 -p 127.0.0.1:18081:80 -p 18053:53/udp -p [::1]:18443:443 \
            --expose 9000 box sleep 600";
        client(&daemon, &words(run)).ok();
        for (asked, want) in [
            ("web 80", "127.0.0.1:18080 127.0.0.1:18081"),
            ("web 80/tcp", "127.0.0.1:18080 127.0.0.1:18081"),
            ("web 53/udp", "0.0.0.0:18053"),
        ] {
            let shown = client(&daemon, &[&["port"], words(asked).as_slice()].concat()).ok();
            assert_eq!(words(&shown.stdout).join(" "), want, "{asked}");
        }
        let all = client(&daemon, &["port", "web"]).ok();
        assert!(all.stdout.contains("53/udp -> 0.0.0.0:18053\n"), "{}", all.stdout);
        for asked in ["53", "9000", "80/udp"] {
            client(&daemon, &["port", "web", asked]).fails(1, "No public port");
        }
        client(&daemon, &["port", "nosuch"]).fails(1, "No such container: nosuch");
        client(&daemon, &words("network create web")).ok();
        client(&daemon, &words("volume create web")).ok();
        for (flags, want) in [
            ("-f {{.Name}}", "/web"),
            ("--type container -f {{.Name}}", "/web"),
            ("--type=network -f {{.Name}}", "web"),
            ("--type=volume -f {{.Mountpoint}}", ""),
            ("-s -f {{.SizeRw}}", "0"),
        ] {
            let inspect = [&["inspect"], words(flags).as_slice(), &["web"]].concat();
            let shown = client(&daemon, &inspect).ok();
            if want.is_empty() {
                assert!(shown.text().contains("/volumes/web"), "{}", shown.stdout);
            } else if !flags.starts_with("-s") {
                assert_eq!(shown.text(), want, "{flags}");
            } else {
                assert!(shown.text().parse::<u64>().is_ok(), "{}", shown.stdout);
            }
        }
        client(&daemon, &words("inspect --type image web")).fails(1, "No such image: web");
        client(&daemon, &words("inspect nosuch")).fails(1, "nosuch");
        client(&daemon, &words("rm -f web")).ok();
        client(&daemon, &words("network rm web")).ok();
        client(&daemon, &words("volume rm web")).ok();
    }
}
