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
        ("--log-opt max-size=1m img", "/HostConfig/LogConfig/Config", json!({"max-size": "1m"})),
        ("--add-host a:1.2.3.4 img", "/HostConfig/ExtraHosts", json!(["a:1.2.3.4"])),
        ("--oom-kill-disable img", "/HostConfig/OomKillDisable", json!(true)),
    ] {
        check(line, pointer, &expected);
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
        ("--network a --network b img", "more than one network"),
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
