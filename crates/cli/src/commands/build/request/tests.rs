use super::*;
use crate::flags::{self, Order};

fn asked(line: &str) -> Result<Asked, String> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let flags = flags::parse(super::super::BUILD.flags, Order::Mixed, &words)
        .map_err(|error| error.to_string())?;
    let lookup = |name: &str| (name == "HOME").then(|| "/home".to_owned());
    let read = |path: &str| match path {
        "key" => Ok(b"hunter2".to_vec()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    let around = Surroundings { lookup: &lookup, read: &read, is_socket: &|path| path == "/agent" };
    Asked::of(&flags, &around).map_err(|failed| failed.fault.unwrap().message().to_owned())
}

fn parameter(line: &str, name: &str) -> String {
    asked(line).unwrap().query.get(name).unwrap_or("nothing").to_owned()
}

#[test]
fn parameters_are_docker_s() {
    for (line, name, value) in [
        ("-t a -t b:1 .", "t", "a:latest"),
        (
            "--build-arg A=b=c --build-arg HOME --build-arg NONE .",
            "buildargs",
            r#"{"A":"b=c","HOME":"/home","NONE":null}"#,
        ),
        ("--label a=b --label c .", "labels", r#"{"a":"b","c":""}"#),
        ("--ulimit nofile=5:6 .", "ulimits", r#"[{"Hard":6,"Name":"nofile","Soft":5}]"#),
        ("--network none .", "networkmode", "none"),
        (
            "--platform linux/amd64,linux/arm64 --platform linux/s390x .",
            "platform",
            "linux/amd64,linux/arm64,linux/s390x",
        ),
        ("--shm-size 1m .", "shmsize", "1048576"),
        ("-m 1g --memory-swap -1 .", "memswap", "-1"),
        ("-c 5 .", "cpushares", "5"),
        ("--no-cache .", "nocache", "1"),
        ("--add-host a:1.2.3.4 .", "extrahosts", "a:1.2.3.4"),
        ("--target x .", "target", "x"),
        (".", "labels", "nothing"),
        (".", "version", "1"),
    ] {
        assert_eq!(parameter(line, name), value, "{line}");
    }
}

#[test]
fn secrets_are_in_no_parameter() {
    let asked = asked("--secret id=token,src=key --ssh default=/agent -t a .").unwrap();
    assert_eq!(asked.extras.secrets["token"].reveal().unwrap(), b"hunter2");
    assert_eq!(asked.agents["default"], "/agent");
    let query = asked.query.encode();
    assert!(
        !query.contains("token") && !query.contains("hunter2") && !query.contains("agent"),
        "{query}"
    );
    assert!(!format!("{asked:?}").contains("hunter2"));
}

#[test]
fn a_result_that_only_goes_elsewhere_has_no_name_here() {
    assert_eq!(parameter("-t a -o out .", "t"), "nothing");
    assert_eq!(parameter("-t a -o out -o type=image .", "t"), "a:latest");
    assert_eq!(parameter("-t a --push -o out .", "t"), "a:latest");
    let pushed = asked("-o type=image,name=r/x,push=true .").unwrap();
    assert!(pushed.push && pushed.names.len() == 1);
    assert_eq!(asked("--push .").unwrap_err(), "tag is needed when pushing to registry");
}

#[test]
fn attestations_have_several_spellings() {
    let of = |line: &str| asked(line).map(|asked| (asked.extras.sbom, asked.extras.provenance));
    for (line, sbom, provenance) in [
        (".", false, None),
        ("--sbom true --provenance mode=max .", true, Some("max")),
        ("--attest type=sbom --attest type=provenance,mode=min .", true, Some("min")),
        ("--provenance true .", false, Some("min")),
        ("--attest type=provenance --provenance false .", false, None),
    ] {
        assert_eq!(of(line).unwrap(), (sbom, provenance.map(str::to_owned)), "{line}");
    }
    assert!(of("--sbom generator=x .").is_err() && of("--attest type=colour .").is_err());
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (line, words) in [
        ("--squash .", "flag `--squash` is not supported"),
        ("--builder x .", "flag `--builder` is not supported"),
        ("--isolation hyperv .", "flag `--isolation` is not supported"),
        ("--security-opt a=b .", "flag `--security-opt` is not supported"),
        ("--build-context x .", "`x` is not of the form KEY=VALUE"),
        ("--allow all .", "unknown entitlement all"),
        ("--annotation index:a=b .", "annotations of the index"),
        ("--secret id=nothing .", "secret `nothing` cannot be read"),
        ("--ssh default=key .", "no socket of an SSH agent"),
        ("-t UPPER .", "invalid tag \"UPPER\""),
        (
            "-t a@sha256:0123456789012345678901234567890123456789012345678901234567890123 .",
            "cannot contain a digest",
        ),
    ] {
        let said = asked(line).unwrap_err();
        assert!(said.contains(words), "{line}: {said}");
    }
}
