//! Profiles in docker's JSON and in the specification's.

use super::*;

fn check(json: &str, name: &str, first: u64, expected: Action) {
    let profile = parse_docker(json, &circumstances(&["CAP_SYS_CHROOT"])).unwrap();
    let program = compile(&profile).unwrap();
    assert_eq!(run(&program, &call(name, first)), expected.code(), "{name}({first}) of {json}");
}

fn refused(json: &str, expected: &str) {
    let error = parse_docker(json, &circumstances(&[])).unwrap_err();
    assert!(error.to_string().contains(expected), "{error} of {json}");
}

#[test]
fn a_list_of_what_is_denied() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"name": "mkdir", "action": "SCMP_ACT_ERRNO"},
        {"names": ["chmod", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "comment": "x"}]}"#;
    check(json, "mkdir", 0, Action::Errno(1));
    check(json, "chmod", 0, Action::Errno(13));
    check(json, "read", 0, Action::Allow);
    check(json, "reboot", 0, Action::Allow);
}

#[test]
fn conditions_about_capabilities_machines_and_kernels() {
    let rule = |condition: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 2, "syscalls": [
                {{"names": ["read", "statmount"], "action": "SCMP_ACT_ALLOW", {condition}}},
                {{"names": ["file_setattr"], "action": "SCMP_ACT_ALLOW", "args": null}}]}}"#
        )
    };
    for (condition, holds) in [
        (r#""includes": {"caps": ["CAP_SYS_CHROOT"]}"#, true),
        (r#""includes": {"caps": ["CAP_SYS_CHROOT", "CAP_BPF"]}"#, false),
        (r#""excludes": {"caps": ["CAP_SYS_CHROOT"]}"#, false),
        (r#""excludes": {"caps": ["CAP_BPF"]}"#, true),
        (r#""includes": {"arches": ["amd64", "x32"]}"#, true),
        (r#""includes": {"arches": ["s390x"]}"#, false),
        (r#""excludes": {"arches": ["amd64"]}"#, false),
        (r#""includes": {"minKernel": "4.8"}"#, true),
        (r#""includes": {"minKernel": "6.10"}"#, false),
        (r#""excludes": {"minKernel": "6.1"}"#, false),
        (r#""includes": {}, "excludes": {}"#, true),
    ] {
        check(&rule(condition), "read", 0, if holds { Action::Allow } else { Action::Errno(2) });
    }
}

#[test]
fn several_tests_of_one_argument_are_alternatives() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}]}"#;
    check(json, "socket", 1, Action::Allow);
    check(json, "socket", 2, Action::Allow);
    check(json, "socket", 3, Action::Errno(1));
}

#[test]
fn a_mask_and_what_is_behind_it() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_TRAP",
        "args": [{"index": 0, "value": 240, "valueTwo": 16, "op": "SCMP_CMP_MASKED_EQ"}]}]}"#;
    check(json, "socket", 0x1f, Action::Trap);
    check(json, "socket", 0x2f, Action::Allow);
}

#[test]
fn what_cannot_be_used_is_named() {
    refused("{", "cannot read");
    refused("[]", "cannot read");
    refused(r#"{"syscalls": []}"#, "cannot read");
    refused(r#"{"defaultAction": "ALLOW"}"#, "`ALLOW`");
    refused(r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 70000}"#, "`70000`");
    refused(r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "SCMP_ACT_NOTIFY");
    refused(r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}"#, "listenerPath");
    refused(r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]}"#, "`X`");
    refused(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_VAX"]}"#,
        "SCMP_ARCH_VAX",
    );
    refused(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86"}]}"#,
        "archMap",
    );
    refused(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "a", "names": ["b"], "action": "SCMP_ACT_ALLOW"}]}"#,
        "`names`",
    );
    for (argument, expected) in [
        (r#"{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}"#, "`6`"),
        (r#"{"index": 0, "value": 0, "op": "EQ"}"#, "`EQ`"),
        (r#"{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}"#, "cannot read"),
    ] {
        refused(
            &format!(
                r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"name": "a", "action": "SCMP_ACT_ERRNO", "args": [{argument}]}}]}}"#
            ),
            expected,
        );
    }
}

#[test]
fn a_profile_that_is_too_long_is_refused() {
    let entry = |value: u32| {
        format!(
            r#"{{"name": "read", "action": "SCMP_ACT_ERRNO", "args": [{{"index": 0, "value": {value}, "op": "SCMP_CMP_LT"}}]}}"#
        )
    };
    let entries: Vec<String> = (0..1500).map(entry).collect();
    let json =
        format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{}]}}"#, entries.join(","));
    let profile = parse_docker(&json, &circumstances(&[])).unwrap();
    assert!(matches!(compile(&profile), Err(SeccompError::TooLong { .. })));
}

#[test]
fn the_profile_of_a_specification() {
    let given: naru_oci::runtime::LinuxSeccomp = serde_json::from_str(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [
            {"names": ["read", "mseal"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["socket"], "action": "SCMP_ACT_KILL_PROCESS",
             "args": [{"index": 0, "value": 255, "valueTwo": 16, "op": "SCMP_CMP_MASKED_EQ"}, {"index": 1, "value": 3, "op": "SCMP_CMP_GE"}]}]}"#,
    )
    .unwrap();
    let profile = from_oci(&given).unwrap();
    assert_eq!(profile.flags, 2);
    assert_eq!(profile.architectures, [Architecture::X86_64, Architecture::X86]);
    assert_eq!(profile.default_action, Action::Errno(38));
    let program = compile(&profile).unwrap();
    let socket = |first, second| {
        let mut call = call("socket", first);
        call.arguments[1] = second;
        run(&program, &call)
    };
    assert_eq!(socket(0x110, 3), Action::KillProcess.code());
    assert_eq!(socket(0x110, 2), Action::Errno(38).code());
    assert_eq!(socket(0x111, 3), Action::Errno(38).code());
    assert_eq!(run(&program, &call("read", 0)), Action::Allow.code());
}
