//! Flags to requests.
use super::*;
use crate::commands::container::create_flags;
use crate::flags::{Flag, Order, parse};
use serde_json::{Value, json};

static TABLE: &[&[Flag]] = &[create_flags::CREATE, create_flags::RUN];

fn request(line: &str) -> Result<Value, String> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let flags = parse(TABLE, Order::FlagsFirst, &words).map_err(|error| error.to_string())?;
    let around = Surroundings {
        cwd: &|| Ok("/cwd".to_owned()),
        lookup: &|name| (name == "HOME").then(|| "/h".to_owned()),
        read: &|path| match path {
            "vars" => Ok(b"A=1\nHOME\n".to_vec()),
            "labels" => Ok(b"k=v\nbare\n".to_vec()),
            _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        },
    };
    match build(&flags, &around, flags.switch("detach")) {
        Ok(request) => Ok(json!(request)),
        Err(failed) => {
            Err(failed.fault.map(|fault| fault.message().to_owned()).unwrap_or_default())
        }
    }
}

fn check(line: &str, pointer: &str, expected: &Value) {
    let request = request(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(request.pointer(pointer).unwrap_or(&Value::Null), expected, "{line} {pointer}");
}

#[test]
fn flags_become_fields() {
    for (line, pointer, expected) in [
        ("img", "/Image", json!("img")),
        ("img", "/Cmd", json!(null)),
        ("img", "/AttachStdout", json!(true)),
        ("img", "/AttachStdin", json!(false)),
        ("img", "/HostConfig/NetworkMode", json!("default")),
        ("img", "/HostConfig/RestartPolicy/Name", json!("no")),
        ("img sh -c x", "/Cmd", json!(["sh", "-c", "x"])),
        ("-it img", "/Tty", json!(true)),
        ("-it img", "/OpenStdin", json!(true)),
        ("-it img", "/StdinOnce", json!(true)),
        ("-i img", "/AttachStdin", json!(true)),
        ("-d -i img", "/AttachStdin", json!(false)),
        ("-d -i img", "/OpenStdin", json!(true)),
        ("-d -i img", "/StdinOnce", json!(false)),
        ("-a stderr img", "/AttachStdout", json!(false)),
        ("-a stderr img", "/AttachStderr", json!(true)),
        ("-e A=1 -e HOME -e NONE img", "/Env", json!(["A=1", "HOME=/h", "NONE"])),
        ("--env-file vars -e B=2 img", "/Env", json!(["A=1", "HOME=/h", "B=2"])),
        ("-l a=b --label-file labels img", "/Labels", json!({"a": "b", "k": "v", "bare": ""})),
        ("--entrypoint sh img -c x", "/Entrypoint", json!(["sh"])),
        ("--entrypoint= img", "/Entrypoint", json!([""])),
        ("-u 1000:1000 img", "/User", json!("1000:1000")),
        ("-w /x img", "/WorkingDir", json!("/x")),
        ("-h box img", "/Hostname", json!("box")),
        ("--stop-signal USR1 --stop-timeout 3 img", "/StopTimeout", json!(3)),
        ("-v /a:/b:ro -v ./c:/d img", "/HostConfig/Binds", json!(["/a:/b:ro", "/cwd/c:/d"])),
        ("-v /data img", "/Volumes", json!({"/data": {}})),
        ("--tmpfs /t:size=1m img", "/HostConfig/Tmpfs", json!({"/t": "size=1m"})),
        ("--mount type=bind,src=/a,dst=/b,ro img", "/HostConfig/Mounts/0/Type", json!("bind")),
        ("--mount type=bind,src=/a,dst=/b,ro img", "/HostConfig/Mounts/0/ReadOnly", json!(true)),
        (
            "--mount type=tmpfs,dst=/b,tmpfs-size=1m img",
            "/HostConfig/Mounts/0/TmpfsOptions/SizeBytes",
            json!(1 << 20),
        ),
        ("-m 64m --memory-swap -1 img", "/HostConfig/Memory", json!(64 << 20)),
        ("-m 64m --memory-swap -1 img", "/HostConfig/MemorySwap", json!(-1)),
        ("--cpus 1.5 img", "/HostConfig/NanoCpus", json!(1_500_000_000)),
        ("--pids-limit 10 img", "/HostConfig/PidsLimit", json!(10)),
        (
            "--ulimit nofile=1:2 img",
            "/HostConfig/Ulimits/0",
            json!({"Name": "nofile", "Soft": 1, "Hard": 2}),
        ),
        ("--device /dev/fuse img", "/HostConfig/Devices/0/CgroupPermissions", json!("rwm")),
        ("--cap-add NET_ADMIN --cap-drop ALL img", "/HostConfig/CapDrop", json!(["ALL"])),
        ("--privileged img", "/HostConfig/Privileged", json!(true)),
        ("--security-opt systempaths=unconfined img", "/HostConfig/MaskedPaths", json!([])),
        (
            "--security-opt no-new-privileges img",
            "/HostConfig/SecurityOpt",
            json!(["no-new-privileges"]),
        ),
        ("--sysctl net.x=1 img", "/HostConfig/Sysctls", json!({"net.x": "1"})),
        ("--network host img", "/HostConfig/NetworkMode", json!("host")),
        ("--net container:x img", "/HostConfig/NetworkMode", json!("container:x")),
        (
            "-p 8080:80 img",
            "/HostConfig/PortBindings",
            json!({"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}),
        ),
        ("-p 8080:80 img", "/ExposedPorts", json!({"80/tcp": {}})),
        ("--restart on-failure:3 img", "/HostConfig/RestartPolicy/MaximumRetryCount", json!(3)),
        ("--rm img", "/HostConfig/AutoRemove", json!(true)),
        ("--init img", "/HostConfig/Init", json!(true)),
        ("--read-only img", "/HostConfig/ReadonlyRootfs", json!(true)),
        ("--shm-size 1m img", "/HostConfig/ShmSize", json!(1 << 20)),
        ("--no-healthcheck img", "/Healthcheck/Test", json!(["NONE"])),
        ("--no-healthcheck --health-interval -0s img", "/Healthcheck/Test", json!(["NONE"])),
        (
            "--health-cmd curl --health-retries 0 img",
            "/Healthcheck",
            json!({"Test": ["CMD-SHELL", "curl"]}),
        ),
        (
            "--health-interval 4.5s --health-timeout 2s --health-start-period 5s --health-start-interval 1ms --health-retries 3 img",
            "/Healthcheck",
            json!({"Interval": 4_500_000_000_u64, "Timeout": 2_000_000_000, "StartPeriod": 5_000_000_000_u64, "StartInterval": 1_000_000, "Retries": 3}),
        ),
        ("--log-opt max-size=1m img", "/HostConfig/LogConfig/Config", json!({"max-size": "1m"})),
        (
            "--add-host a:1.2.3.4 --add-host b=[::1] --add-host c=host-gateway img",
            "/HostConfig/ExtraHosts",
            json!(["a:1.2.3.4", "b:::1", "c:host-gateway"]),
        ),
        ("--dns 1.1.1.1 --dns ::1 img", "/HostConfig/Dns", json!(["1.1.1.1", "::1"])),
        ("--dns-search x.y. --dns-search . img", "/HostConfig/DnsSearch", json!(["x.y", "."])),
        (
            "--dns-option ndots:1 --dns-opt use-vc img",
            "/HostConfig/DnsOptions",
            json!(["ndots:1", "use-vc"]),
        ),
        ("-h box.lan --domainname lan img", "/Domainname", json!("lan")),
        ("--oom-kill-disable img", "/HostConfig/OomKillDisable", json!(true)),
    ] {
        check(line, pointer, &expected);
    }
}

/// What docker's client (28) sends in `EndpointsConfig`, without the fields that only the daemon sets.
#[test]
fn networks_become_endpoints() {
    for (line, mode, expected) in [
        ("img", "default", json!(null)),
        ("--network a img", "a", json!(null)),
        ("--network name=default img", "default", json!(null)),
        ("--network none img", "none", json!(null)),
        ("--network container:x img", "container:x", json!(null)),
        ("--network a --network b img", "a", json!({"a": {}, "b": {}})),
        (
            "--network name=n1,alias=a,alias=b,ip=10.9.0.7,ip6=fd00:1::7,mac-address=02:42:ac:11:00:02,driver-opt=a=b,link-local-ip=169.254.1.2,gw-priority=2 --network n2 img",
            "n1",
            json!({"n1": {"IPAMConfig": {"IPv4Address": "10.9.0.7", "IPv6Address": "fd00:1::7",
                "LinkLocalIPs": ["169.254.1.2"]}, "Aliases": ["a", "b"], "MacAddress": "02:42:ac:11:00:02",
                "DriverOpts": {"a": "b"}, "GwPriority": 2}, "n2": {}}),
        ),
        (
            "--network a --network-alias x --network-alias y img",
            "a",
            json!({"a": {"Aliases": ["x", "y"]}}),
        ),
        ("--net a --network b --net-alias c img", "a", json!({"a": {"Aliases": ["c"]}, "b": {}})),
        (
            "--network a --network name=b,ip=1.2.3.4 --ip 5.6.7.8 --ip6 ::2 img",
            "a",
            json!({"a": {"IPAMConfig": {"IPv4Address": "5.6.7.8", "IPv6Address": "::2"}},
                "b": {"IPAMConfig": {"IPv4Address": "1.2.3.4"}}}),
        ),
        (
            "--mac-address 02:42:ac:11:00:03 img",
            "default",
            json!({"default": {"MacAddress": "02:42:ac:11:00:03"}}),
        ),
        (
            "--ip 1.2.3.4 --link-local-ip 169.254.0.1 img",
            "default",
            json!({"default": {"IPAMConfig": {"IPv4Address": "1.2.3.4", "LinkLocalIPs": ["169.254.0.1"]}}}),
        ),
        (
            "--network host --ip 1.2.3.4 img",
            "host",
            json!({"host": {"IPAMConfig": {"IPv4Address": "1.2.3.4"}}}),
        ),
        ("--network a --link b --link c:d img", "a", json!({"a": {"Links": ["b", "c:d"]}})),
        ("--link b:c img", "default", json!(null)),
        ("--network bridge --link b:c img", "bridge", json!(null)),
    ] {
        let request = request(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(request["HostConfig"]["NetworkMode"], mode, "{line}");
        let mut endpoints = request["NetworkingConfig"]["EndpointsConfig"].clone();
        for endpoint in endpoints.as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
            endpoint
                .as_object_mut()
                .unwrap()
                .retain(|_, value| !value.is_null() && *value != json!("") && *value != json!(0));
        }
        assert_eq!(endpoints, expected, "{line}");
    }
    check("--network a --link b --link c:d img", "/HostConfig/Links", &json!(["b", "c:d"]));
    check("--network bridge --link b:c img", "/HostConfig/Links", &json!(["b:c"]));
}

#[test]
fn ports_are_exposed_and_bound() {
    let line =
        "-p 8000-8001:80-81/udp -p 127.0.0.1::90 -p [::1]:99:99 -P --expose 3000-3002 -p 9:90 img";
    check(line, "/HostConfig/PublishAllPorts", &json!(true));
    check(
        line,
        "/ExposedPorts",
        &json!({"3000/tcp": {}, "3001/tcp": {}, "3002/tcp": {}, "80/udp": {}, "81/udp": {},
            "90/tcp": {}, "99/tcp": {}}),
    );
    check(
        line,
        "/HostConfig/PortBindings",
        &json!({
            "80/udp": [{"HostIp": "", "HostPort": "8000"}],
            "81/udp": [{"HostIp": "", "HostPort": "8001"}],
            "90/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}, {"HostIp": "", "HostPort": "9"}],
            "99/tcp": [{"HostIp": "::1", "HostPort": "99"}],
        }),
    );
    check("img", "/ExposedPorts", &json!(null));
}

#[test]
fn networks_that_cannot_be_had() {
    let both = |flag: &str, what: &str| {
        format!("conflicting options: cannot specify both --{flag} and per-network {what}")
    };
    let mixed =
        "conflicting options: cannot attach both user-defined and non-user-defined network-modes";
    let aliases = "network-scoped aliases are only supported for user-defined networks";
    for (line, message) in [
        ("--network a --network b --network a img", "network \"a\" is specified multiple times"),
        ("--network host --network a img", mixed),
        ("--network default --network a img", mixed),
        ("--network container:x --network a img", mixed),
        ("--network host --network-alias x img", aliases),
        ("--network name=host,alias=x img", aliases),
        ("--network-alias x img", aliases),
        ("--network= img", "no name set for network"),
        ("--mac-address xx img", "xx is not a valid mac address"),
        ("--network name=a,alias=z --network-alias x img", &both("network-alias", "alias")),
        ("--network name=a,ip=1.2.3.4 --ip 1.2.3.5 img", &both("ip", "IPv4 address")),
        ("--network name=a,ip6=::1 --ip6 ::2 img", &both("ip6", "IPv6 address")),
        (
            "--network name=a,mac-address=02:42:ac:11:00:02 --mac-address 02:42:ac:11:00:02 img",
            &both("mac-address", "MAC address"),
        ),
        (
            "--network name=a,link-local-ip=169.254.0.1 --link-local-ip 169.254.0.2 img",
            &both("link-local-ip", "link-local IP addresses"),
        ),
        (
            "--network name=a,foo=1 img",
            "invalid argument \"name=a,foo=1\" for \"--network\" flag: invalid field key foo",
        ),
        (
            "--link a:b:c img",
            "invalid argument \"a:b:c\" for \"--link\" flag: bad format for links: a:b:c",
        ),
        ("--dns x img", "for \"--dns\" flag: IP address is not correctly formatted: x"),
        ("--dns-search 1.2 img", "for \"--dns-search\" flag: 1.2 is not a valid domain"),
        ("--add-host a img", "for \"--add-host\" flag: bad format for add-host: \"a\""),
        ("--expose 80:80 img", "invalid port format for --expose: 80:80"),
    ] {
        let error = request(line).unwrap_err();
        assert!(error.ends_with(message), "{line}: {error}");
    }
}

#[test]
fn bad_values_are_named() {
    for (line, message) in [
        (
            "-a what img",
            "invalid argument \"what\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR",
        ),
        ("--memory-swappiness 101 img", "Valid memory swappiness range is 0-100"),
        ("--mount type=bind,target=/x img", "for \"--mount\" flag: source is required"),
        ("--security-opt seccomp=missing img", "opening seccomp profile (missing) failed"),
        ("-e =x img", "invalid environment variable: =x"),
        ("-l = img", "invalid label"),
        ("-p 1:x img", "invalid containerPort: x"),
        ("--sysctl a img", "KEY=VALUE"),
        ("--cpus x img", "failed to parse x as a rational number"),
        ("--stop-timeout x img", "strconv.ParseInt: parsing \"x\": invalid syntax"),
    ] {
        let error = request(line).unwrap_err();
        assert!(error.contains(message), "{line}: {error}");
    }
}
