//! What every container has. Acts.

use crate::fixture::Fixture;
use naru_runtime::{Reason, UserRequest};
use serde_json::json;

#[test]
fn a_command_runs_as_process_one_in_its_own_root() {
    let out =
        Fixture::new("echo $$; hostname; pwd; echo new > /file; cat /file; echo $HOME").stdout();
    assert_eq!(out, "1\nbox\n/\nnew\n/root\n");
}

#[test]
fn what_is_written_goes_to_the_upper_directory() {
    let fixture = Fixture::new("echo new > /file");
    fixture.stdout();
    assert_eq!(std::fs::read_to_string(fixture.upper().join("file")).unwrap(), "new\n");
    assert!(!fixture.lower().join("file").exists());
}

#[test]
fn the_exit_code_is_the_commands() {
    assert_eq!(Fixture::new("exit 42").run().unwrap().code, 42);
    assert_eq!(
        Fixture::new("kill -9 $$; sleep 1; exit 3")
            .with(|options| options.init = true)
            .run()
            .unwrap()
            .code,
        137
    );
}

#[test]
fn capabilities_are_those_of_the_spec() {
    let out = Fixture::new("grep -E 'Cap|NoNew|Seccomp:' /proc/self/status").stdout();
    let expected = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n\
                    CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n";
    assert_eq!(out, expected);
}

#[test]
fn a_user_has_no_capabilities_and_his_groups() {
    let fixture =
        Fixture::new("id -u; id -g; id -G; grep -E 'CapPrm|CapEff' /proc/self/status; echo $HOME")
            .with(|options| {
                options.user =
                    Some(UserRequest { user: "www".to_owned(), groups: vec!["77".to_owned()] })
            });
    let out = fixture.stdout();
    assert_eq!(
        out,
        "33\n34\n34 29 77\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n/var/www\n"
    );
}

#[test]
fn no_descriptor_of_ours_is_left() {
    let out = Fixture::new("ls /proc/self/fd | tr '\\n' ' '").stdout();
    // The fourth is the directory that is being listed.
    assert_eq!(out, "0 1 2 3 ");
}

#[test]
fn commands_that_cannot_be_executed_are_told_apart() {
    let command = |args: &[&str]| Fixture::new("").set("/process/args", json!(args)).error();
    let missing = command(&["nope"]);
    assert_eq!(missing.message, "exec: \"nope\": executable file not found in $PATH");
    assert_eq!(missing.reason, Reason::NotFound);
    let missing = command(&["/nope"]);
    assert_eq!(missing.message, "exec: \"/nope\": stat /nope: no such file or directory");
    assert_eq!(missing.reason, Reason::NotFound);
    let refused = command(&["/etc/passwd"]);
    assert_eq!(refused.message, "exec: \"/etc/passwd\": permission denied");
    assert_eq!(refused.reason, Reason::NotExecutable);
    let refused = command(&["/etc"]);
    assert_eq!(refused.message, "exec: \"/etc\": is a directory: permission denied");
    assert_eq!(refused.reason, Reason::NotExecutable);
}
