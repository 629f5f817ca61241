//! Pure: what is done on a host without IPv6: a daemon, containers that find and reach each other, a published port.

/// What the kernel is told.
pub const WORDS: &str = "ipv6.disable=1";

/// Modules that a host with containers has loaded.
pub const MODULES: [&str; 13] = [
    "virtio_pci",
    "virtio_blk",
    "overlay",
    "bridge",
    "veth",
    "nf_tables",
    "nft_chain_nat",
    "nft_nat",
    "nft_masq",
    "nft_ct",
    "nft_fib_inet",
    "nft_fib_ipv4",
    "macvlan",
];

/// What must be reported as passed.
pub const EXPECTED: [&str; 7] = [
    "no_ipv6::the_host_has_none",
    "no_ipv6::a_published_port_answers",
    "no_ipv6::a_container_on_the_default_network_runs",
    "no_ipv6::names_are_known",
    "no_ipv6::a_network_of_ipv6_is_refused",
    "no_ipv6::a_port_of_ipv6_is_refused",
    "no_ipv6::nothing_is_left",
];

/// Whether an argument of the command means this boot.
pub fn is_meant(part: &str) -> bool {
    "no_ipv6".contains(part) || EXPECTED.iter().any(|name| name.contains(part))
}

/// The commands of the machine.
pub const SCRIPT: &str = r#"
check() {
    name=no_ipv6::$1; shift
    if "$@" > /tmp/output 2>&1; then echo "@@passed $name"; else cat /tmp/output; tail -20 /tmp/log; echo "@@failed $name"; fi
}
refused() { words=$1; shift; if "$@" > /tmp/said 2>&1; then echo accepted; return 1; fi; cat /tmp/said; grep -q "$words" /tmp/said; }
asks() { printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 5 $1 $2 | grep hello; }
waiting() { for i in 1 2 3 4 5 6 7 8 9 10; do "$@" && return 0; sleep 1; done; return 1; }
ip link set lo up
mkdir -p /run /var/lib /image/bin /image/etc /image/proc /image/sys /image/dev /image/tmp /image/www
cp /bin/busybox /image/bin/
for applet in sh sleep httpd nc grep ping; do ln -s busybox /image/bin/$applet; done
echo hello > /image/www/index.html
tar -C /image -cf /tmp/image.tar .
naru daemon > /tmp/log 2>&1 &
daemon=$!
waiting test -S /run/naru/naru.sock || waiting naru ps > /dev/null 2>&1
naru import /tmp/image.tar box > /tmp/output 2>&1 || { cat /tmp/output /tmp/log; echo '@@cannot import'; }
check the_host_has_none test ! -e /proc/net/if_inet6
check a_container_on_the_default_network_runs naru run --rm box ping -c 1 -W 5 127.0.0.1
naru network create lan > /tmp/output 2>&1 || { cat /tmp/output /tmp/log; echo '@@cannot make a network'; }
naru run -d --name web --network lan -p 8080:80 box httpd -f -p 80 -h /www > /tmp/output 2>&1 || { cat /tmp/output /tmp/log; echo '@@cannot run'; }
check a_published_port_answers waiting asks 127.0.0.1 8080
check names_are_known naru run --rm --network lan box sh -c "printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 5 web 80 | grep hello"
check a_network_of_ipv6_is_refused refused 'IPv6 is disabled on this host' naru network create --ipv6 six
check a_port_of_ipv6_is_refused refused 'IPv6' naru run --rm -p '[::1]:8081:80' box true
naru rm -f web > /dev/null 2>&1
naru network rm lan > /dev/null 2>&1
kill $daemon
wait $daemon
# The daemon leaves its own, empty.
rmdir /sys/fs/cgroup/naru
check nothing_is_left test -z "$(ip -o link | grep -v ' lo:')"
"#;
