//! Published ports: from everywhere that should reach them, and whom the server sees. Acts: as root, with the built
//! binary, each daemon in a network namespace of its own.

use integration_tests::machines::{DEADLINE, HOST, OTHER, Town};
use integration_tests::{debian, until};

/// The page that tells who asks.
fn who(host: &str) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("http://{host}:8080/cgi-bin/who")
}

/// Published on all addresses, over both families, from five kinds of places.
#[test]
fn a_port_of_a_user_network_is_reached_from_everywhere() {
    let town = Town::start(&[]);
    for (network, flags) in [("lan", &["--ipv6"][..]), ("elsewhere", &["--ipv6"])] {
        town.daemon.naru(&[&["network", "create"], flags, &[network]].concat()).ok();
    }
    town.server("web", &["--network", "lan", "-p", "8080:80"]);
    town.idler("mate", &["--network", "lan"]);
    town.idler("stranger", &["--network", "elsewhere"]);
    town.idler("plain", &[]);
    check_everywhere(&town, "lan");
}

#[test]
fn a_port_of_the_default_network_is_reached_from_everywhere() {
    let town = Town::start(&["--ipv6"]);
    town.daemon.naru(&["network", "create", "--ipv6", "elsewhere"]).ok();
    town.server("web", &["-p", "8080:80"]);
    town.idler("mate", &[]);
    town.idler("stranger", &["--network", "elsewhere"]);
    town.daemon.naru(&["network", "create", "third"]).ok();
    town.idler("plain", &["--network", "third"]);
    check_everywhere(&town, "bridge");
}

/// `web` publishes 80 as 8080 and lives with `mate`; `stranger` and `plain` live elsewhere.
#[track_caller]
fn check_everywhere(town: &Town, network: &str) {
    let gateway4 = town.gateway(network);
    let web4 = town.address("web", network);
    let web6 = town.address6("web", network);
    town.wait_for(|| town.host.get(&who(HOST[0])));
    // The host itself: by its loopback, by its own addresses, by the bridge's.
    let check = |what: &str, got: Option<String>, seen: &[&str]| {
        let Some(got) = got else { panic!("{what}: no answer") };
        assert!(
            seen.is_empty() || seen.contains(&got.as_str()),
            "{what}: seen as {got}, not {seen:?}"
        );
    };
    let gateway6 = format!("{}::1", web6.split("::").next().unwrap());
    for address in ["127.0.0.1", HOST[0], &gateway4] {
        // Loopback cannot be answered over the bridge: the server sees the bridge instead.
        let seen = if address.starts_with("127.") { &gateway4 } else { address };
        check(&format!("host to {address}"), town.host.get(&who(address)), &[seen, &gateway4]);
    }
    for address in ["::1", HOST[1], &gateway6] {
        check(&format!("host to {address}"), town.host.get(&who(address)), &[]);
    }
    // Another machine: its own address is seen.
    for (host, other) in HOST.iter().zip(OTHER) {
        check(&format!("other to {host}"), town.other.get(&who(host)), &[other]);
    }
    for name in ["web", "mate", "stranger", "plain"] {
        let mut targets = vec![HOST[0].to_owned(), gateway4.clone()];
        let own = town.inspect(name, "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}");
        targets.push(own);
        for address in targets {
            check(&format!("{name} to {address}"), town.get(name, &who(&address)), &[]);
        }
    }
    for name in ["web", "mate", "stranger"] {
        check(&format!("{name} to {}", HOST[1]), town.get(name, &who(HOST[1])), &[]);
    }
    // Directly, within the network: each by its own address.
    let mate = town.address("mate", network);
    let direct = format!("http://{web4}/cgi-bin/who");
    check("mate directly", town.get("mate", &direct), &[&mate]);
    let direct = format!("http://[{web6}]/cgi-bin/who");
    check("mate directly", town.get("mate", &direct), &[&town.address6("mate", network)]);
    // Everything goes with the container.
    town.daemon.naru(&["rm", "-f", "web"]).ok();
    assert_eq!(town.host.get(&who("127.0.0.1")), None);
    assert_eq!(town.other.get(&who(HOST[0])), None);
}

#[test]
fn a_port_on_one_address_is_there_only() {
    let town = Town::start(&[]);
    town.server("near", &["-p", "127.0.0.1:8080:80"]);
    town.wait_for(|| town.host.get(&who("127.0.0.1")));
    assert_eq!(town.host.get(&who(HOST[0])), None);
    assert_eq!(town.other.get(&who(HOST[0])), None);
    town.idler("mate", &[]);
    assert_eq!(town.get("mate", &who(&town.gateway("bridge"))), None);
    // The same port on another address is another port.
    town.server("far", &["-p", &format!("{}:8080:80", HOST[0])]);
    town.wait_for(|| town.other.get(&who(HOST[0])));
    let taken = format!("{}:8080:80", HOST[0]);
    town.daemon
        .naru(&["run", "-d", "-p", &taken, "box", "true"])
        .fails(125, "port is already allocated");
    town.daemon
        .naru(&["run", "-d", "-p", "198.51.100.1:8081:80", "box", "true"])
        .fails(125, "cannot assign requested address");
}

/// A real server behind a published port, a real database found by name.
#[test]
fn nginx_answers_through_a_published_port_and_redis_by_name() {
    let town = Town::start(&[]);
    let tar = debian::root_tar();
    town.daemon.naru(&["import", "-c", "CMD [\"bash\"]", tar.to_str().unwrap(), "debian"]).ok();
    for network in ["front", "back"] {
        town.daemon.naru(&["network", "create", network]).ok();
    }
    let conf = "events {} http { server { listen 80; listen [::]:80; location /who { return 200 \"$remote_addr\"; } } }";
    let run = |name: &str, flags: &[&str], words: &[&str]| {
        let words = [&["run", "-d", "--name", name], flags, &["debian"], words].concat();
        town.daemon.naru(&words).ok();
    };
    let start = format!("echo '{conf}' > /etc/nginx/nginx.conf && exec nginx -g 'daemon off;'");
    run("web", &["--network", "front", "-p", "8080:80"], &["bash", "-c", &start]);
    let database = ["redis-server", "--save", "", "--protected-mode", "no"];
    run("db", &["--network", "back", "-w", "/tmp", "--network-alias", "cache"], &database);
    let page = town.wait_for(|| town.other.get(&format!("http://{}:8080/who", HOST[0])));
    assert_eq!(page, OTHER[0], "the client's own address");
    let ask = |network: &str, host: &str| {
        let words =
            ["run", "--rm", "--network", network, "debian", "redis-cli", "-h", host, "incr", "n"];
        let done = town.daemon.naru(&words);
        (done.code == 0).then(|| done.text().to_owned())
    };
    assert_eq!(until(DEADLINE, || ask("back", "cache")).as_deref(), Some("1"));
    assert_eq!(ask("back", "db").as_deref(), Some("2"));
    assert_eq!(ask("front", "db"), None, "not across");
    // Connected while running.
    town.daemon.naru(&["network", "connect", "back", "web"]).ok();
    let words = ["exec", "web", "redis-cli", "-h", "db", "incr", "n"];
    assert_eq!(town.daemon.naru(&words).ok().text(), "3");
    town.daemon.naru(&["stop", "web", "db"]).ok();
}

#[test]
fn what_went_through_is_counted() {
    let town = Town::start(&[]);
    town.server("web", &["-p", "8080:80"]);
    town.wait_for(|| town.host.get(&who(HOST[0])));
    let shown = town.daemon.naru(&["stats", "--no-stream", "--format", "{{.NetIO}}", "web"]).ok();
    assert!(!shown.text().starts_with("0B / 0B"), "{}", shown.text());
    let socket = town.daemon.socket();
    let url = "http://d/v1.41/containers/web/stats?stream=false&one-shot=true";
    let answer =
        town.host.run(&["curl", "-s", "--unix-socket", socket.to_str().unwrap(), url]).ok();
    let stats: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    let eth0 = &stats["networks"]["eth0"];
    for field in ["rx_bytes", "rx_packets", "tx_bytes", "tx_packets"] {
        assert!(eth0[field].as_u64().unwrap() > 0, "{field} in {stats}");
    }
    for field in ["rx_errors", "rx_dropped", "tx_errors", "tx_dropped"] {
        assert_eq!(eth0[field].as_u64(), Some(0), "{field} in {stats}");
    }
}
