//! libseccomp, through its Python module, as a judge of what profiles mean.

use super::*;
use std::io::Write;
use std::process::{Command, Stdio};

/// Builds a filter from the lines on its standard input and writes the program to standard output.
const SCRIPT: &str = r#"
import os, sys, seccomp
actions = {"allow": lambda n: seccomp.ALLOW, "errno": seccomp.ERRNO, "kill": lambda n: seccomp.KILL_PROCESS}
action = lambda word: actions[word.split(":")[0]](int(word.split(":")[1]))
ops = {"ne": seccomp.NE, "lt": seccomp.LT, "le": seccomp.LE, "eq": seccomp.EQ, "ge": seccomp.GE, "gt": seccomp.GT,
       "masked": seccomp.MASKED_EQ}
lines = sys.stdin.read().splitlines()
f = seccomp.SyscallFilter(action(lines[0]))
f.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
f.add_arch(seccomp.Arch.X86)
for line in lines[1:]:
    word, name, *tests = line.split(" ")
    args = []
    for test in tests:
        index, op, first, second = test.split(",")
        args.append(seccomp.Arg(int(index), ops[op], int(first), int(second)))
    try:
        f.add_rule(action(word), name, *args)
    except RuntimeError as e:
        # A name that is newer than the library, or one that this machine does not have.
        print(name, file=sys.stderr)
f.export_bpf(sys.stdout)
"#;

fn word(action: Action) -> String {
    match action {
        Action::Allow => "allow:0".to_owned(),
        Action::Errno(number) => format!("errno:{number}"),
        _ => "kill:0".to_owned(),
    }
}

fn script_of(profile: &Profile) -> String {
    let mut lines = vec![word(profile.default_action)];
    for rule in &profile.rules {
        for name in &rule.names {
            let mut line = format!("{} {name}", word(rule.action));
            for condition in &rule.conditions {
                let value = condition.value;
                let (op, first, second) = match condition.comparison {
                    Comparison::NotEqual => ("ne", value, 0),
                    Comparison::Less => ("lt", value, 0),
                    Comparison::LessOrEqual => ("le", value, 0),
                    Comparison::Equal => ("eq", value, 0),
                    Comparison::GreaterOrEqual => ("ge", value, 0),
                    Comparison::Greater => ("gt", value, 0),
                    Comparison::MaskedEqual(mask) => ("masked", mask, value),
                };
                line.push_str(&format!(" {},{op},{first},{second}", condition.argument));
            }
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The judge's program, and the names that it does not know.
fn judge(profile: &Profile) -> (Vec<u8>, Vec<String>) {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script_of(profile).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "Debian's python3-seccomp is needed: {messages}");
    (output.stdout, messages.lines().map(str::to_owned).collect())
}

#[test]
fn libseccomp_reads_the_default_profile_alike() {
    for capabilities in [&[][..], &["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_TIME"]] {
        let mut profile = default_profile(&circumstances(capabilities));
        // The judge cannot test one argument twice; and it takes a 32-bit `socket` for a `socketcall` too.
        for rule in &mut profile.rules {
            rule.conditions.retain(|condition| {
                condition.comparison != Comparison::MaskedEqual(0xffff_ffff_0000_0000)
            });
        }
        let (theirs, unknown) = judge(&profile);
        let ours = compile(&profile).unwrap();
        assert!(ours.len() < theirs.len() / 2, "{} and {} bytes", ours.len(), theirs.len());
        let mut compared = 0;
        for architecture in [Architecture::X86_64, Architecture::X86] {
            for (name, number) in table(architecture) {
                if unknown.iter().any(|known| known == name) {
                    continue;
                }
                for first in [
                    0,
                    8,
                    37,
                    38,
                    39,
                    40,
                    41,
                    0x11,
                    0x2_0008,
                    0x7e02_0000,
                    0xffff_ffff,
                    0x1_0000_0008,
                ] {
                    if architecture == Architecture::X86 && first > u64::from(u32::MAX) {
                        continue;
                    }
                    let call = Call {
                        architecture: architecture.audit_code(),
                        number: *number,
                        arguments: [first, 0, 0, 0, 0, 0],
                    };
                    let (ours, theirs) = (run(&ours, &call), run(&theirs, &call));
                    // Beyond what the profile names, a newer library's tables would know more.
                    if ours == Action::Errno(38).code() && name != &"clone3" {
                        continue;
                    }
                    assert_eq!(ours, theirs, "{name}({first:#x}) on {architecture:?}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 8000, "{compared} compared");
    }
}
