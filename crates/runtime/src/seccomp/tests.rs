use super::table::{X32_BIT, X32_OWN, table};
use super::*;
use proptest::prelude::*;

mod docker;
mod judge;

/// What the kernel hands to a filter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) architecture: u32,
    pub(super) number: u32,
    pub(super) arguments: [u64; 6],
}

/// Runs a program as the kernel does. Panics where the kernel would refuse to load it.
pub(super) fn run(program: &[u8], call: &Call) -> u32 {
    let mut memory = Vec::new();
    memory.extend(call.number.to_le_bytes());
    memory.extend(call.architecture.to_le_bytes());
    memory.extend([0; 8]);
    call.arguments.iter().for_each(|argument| memory.extend(argument.to_le_bytes()));
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let bytes: [u8; 8] = program[at * 8..at * 8 + 8].try_into().unwrap();
        let [code_low, code_high, on_true, on_false, k0, k1, k2, k3] = bytes;
        let constant = u32::from_le_bytes([k0, k1, k2, k3]);
        at += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { on_true } else { on_false });
        match u16::from_le_bytes([code_low, code_high]) {
            0x20 => {
                let offset = usize::try_from(constant).unwrap();
                accumulator = u32::from_le_bytes(memory[offset..offset + 4].try_into().unwrap());
            }
            0x54 => accumulator &= constant,
            0x05 => at += usize::try_from(constant).unwrap(),
            0x15 => branch(accumulator == constant),
            0x25 => branch(accumulator > constant),
            0x35 => branch(accumulator >= constant),
            0x06 => return constant,
            other => panic!("opcode {other:#x}"),
        }
    }
}

/// What the rules say, without any program.
pub(super) fn evaluate(profile: &Profile, call: &Call) -> Action {
    let has = |architecture| profile.architectures.contains(&architecture);
    let default = profile.default_action;
    let (architecture, number) = match call.architecture {
        0xc000_003e if call.number < X32_BIT => (Architecture::X86_64, call.number),
        0xc000_003e => {
            if !has(Architecture::X32) {
                let skipped = call.number == u32::MAX && has(Architecture::X86_64);
                return if skipped { default } else { Action::KillProcess };
            }
            let number = call.number & !X32_BIT;
            let own = if number >= X32_OWN { Architecture::X32 } else { Architecture::X86_64 };
            return look_up(profile, own, number, &call.arguments);
        }
        0x4000_0003 => (Architecture::X86, call.number),
        0xc000_00b7 => (Architecture::Aarch64, call.number),
        0x4000_0028 => (Architecture::Arm, call.number),
        _ => return Action::KillProcess,
    };
    if !has(architecture) {
        return Action::KillProcess;
    }
    look_up(profile, architecture, number, &call.arguments)
}

fn look_up(
    profile: &Profile,
    architecture: Architecture,
    number: u32,
    arguments: &[u64; 6],
) -> Action {
    let numbers = table(architecture);
    let named =
        |rule: &&Rule| rule.names.iter().any(|name| numbers.get(name.as_str()) == Some(&number));
    let highest = profile
        .rules
        .iter()
        .flat_map(|rule| &rule.names)
        .filter_map(|name| numbers.get(name.as_str()))
        .max();
    if highest.is_none_or(|highest| number > *highest) {
        return compile::unknown(profile.default_action);
    }
    let rules =
        || profile.rules.iter().filter(named).filter(|rule| rule.action != profile.default_action);
    let holds = |rule: &&Rule| {
        rule.conditions.iter().all(|condition| {
            let argument = arguments[usize::from(condition.argument)];
            match condition.comparison {
                Comparison::NotEqual => argument != condition.value,
                Comparison::Less => argument < condition.value,
                Comparison::LessOrEqual => argument <= condition.value,
                Comparison::Equal => argument == condition.value,
                Comparison::GreaterOrEqual => argument >= condition.value,
                Comparison::Greater => argument > condition.value,
                Comparison::MaskedEqual(mask) => argument & mask == condition.value,
            }
        })
    };
    let rule = rules().find(|rule| rule.conditions.is_empty()).or_else(|| rules().find(holds));
    rule.map_or(profile.default_action, |rule| rule.action)
}

pub(super) fn circumstances(capabilities: &[&str]) -> Circumstances {
    Circumstances {
        capabilities: capabilities.iter().map(|&name| name.to_owned()).collect(),
        kernel: (6, 1),
        architecture: Architecture::X86_64,
    }
}

const ARCHITECTURES: [u32; 5] = [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0x1234];

/// Values near those that profiles compare with, halves swapped and all.
fn any_argument() -> impl Strategy<Value = u64> {
    let near = prop_oneof![
        Just(0_u64),
        Just(1),
        Just(8),
        Just(38),
        Just(40),
        Just(0x2_0008),
        Just(0x7e02_0000),
        Just(0xffff_ffff),
        Just(0x1_0000_0000),
        Just(u64::MAX),
        any::<u64>(),
    ];
    (near, -1_i64..=1, any::<bool>()).prop_map(|(value, step, swap)| {
        let value = value.wrapping_add_signed(step);
        if swap { value.rotate_left(32) } else { value }
    })
}

fn any_call() -> impl Strategy<Value = Call> {
    let number = prop_oneof![
        0_u32..600,
        (0_u32..600).prop_map(|number| number | X32_BIT),
        any::<u32>(),
        Just(u32::MAX)
    ];
    (
        proptest::sample::select(&ARCHITECTURES[..]),
        number,
        proptest::array::uniform6(any_argument()),
    )
        .prop_map(|(architecture, number, arguments)| Call { architecture, number, arguments })
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Allow),
        (0_u16..4).prop_map(Action::Errno),
        Just(Action::Trap),
        Just(Action::Log),
        Just(Action::KillThread),
        Just(Action::Trace(7)),
    ]
}

fn any_condition() -> impl Strategy<Value = Condition> {
    (0_u8..6, 0_u8..7, any_argument(), any_argument()).prop_map(|(argument, kind, value, mask)| {
        let comparison = match kind {
            0 => Comparison::NotEqual,
            1 => Comparison::Less,
            2 => Comparison::LessOrEqual,
            3 => Comparison::Equal,
            4 => Comparison::GreaterOrEqual,
            5 => Comparison::Greater,
            _ => {
                return Condition {
                    argument,
                    comparison: Comparison::MaskedEqual(mask),
                    value: value & mask,
                };
            }
        };
        Condition { argument, comparison, value }
    })
}

/// Few names, so that rules meet.
fn any_rule() -> impl Strategy<Value = Rule> {
    const NAMES: [&str; 10] = [
        "read",
        "write",
        "socket",
        "clone",
        "ioctl",
        "execve",
        "personality",
        "mmap2",
        "nothing",
        "mseal",
    ];
    (
        proptest::collection::vec(proptest::sample::select(&NAMES[..]), 1..4),
        any_action(),
        proptest::collection::vec(any_condition(), 0..4),
    )
        .prop_map(|(names, action, conditions)| Rule {
            names: names.into_iter().map(str::to_owned).collect(),
            action,
            conditions,
        })
}

fn any_profile() -> impl Strategy<Value = Profile> {
    let all = [
        Architecture::X86_64,
        Architecture::X86,
        Architecture::X32,
        Architecture::Aarch64,
        Architecture::Arm,
    ];
    (
        any_action(),
        proptest::sample::subsequence(all.to_vec(), 0..5),
        proptest::collection::vec(any_rule(), 0..24),
    )
        .prop_map(|(default_action, architectures, rules)| Profile {
            default_action,
            architectures,
            rules,
            flags: 0,
        })
}

proptest! {
    #[test]
    fn a_program_decides_as_the_rules_do(
        profile in any_profile(),
        calls in proptest::collection::vec(any_call(), 64),
    ) {
        let program = compile(&profile).unwrap();
        for call in &calls {
            prop_assert_eq!(run(&program, call), evaluate(&profile, call).code(), "{:x?}", call);
        }
    }
}

/// Borders of what the rules ask for.
const FIRST_ARGUMENTS: [u64; 8] = [0, 8, 38, 39, 41, 0x1000_0000, 0xffff_ffff, 0x1_0000_0028];

/// Every number of every architecture, with arguments at the borders of what rules ask.
#[test]
fn the_default_profile_decides_as_its_rules_do() {
    let numbers = || (0..600).flat_map(|number| [number, number | X32_BIT]);
    for (machine, capabilities) in [
        (Architecture::X86_64, &[][..]),
        (Architecture::X86_64, &["CAP_SYS_ADMIN"]),
        (Architecture::Aarch64, &["CAP_BPF", "CAP_SYS_PTRACE"]),
    ] {
        let profile = default_profile(&Circumstances {
            architecture: machine,
            ..circumstances(capabilities)
        });
        let program = compile(&profile).unwrap();
        for architecture in ARCHITECTURES {
            for number in numbers().chain([u32::MAX, 0xf_0001]) {
                // One argument is enough where no rule looks at any.
                let asked =
                    profile.rules.iter().filter(|rule| !rule.conditions.is_empty()).any(|rule| {
                        rule.names.iter().any(|name| {
                            [
                                Architecture::X86_64,
                                Architecture::X86,
                                Architecture::Aarch64,
                                Architecture::Arm,
                            ]
                            .iter()
                            .any(|own| table(*own).get(name.as_str()) == Some(&(number & !X32_BIT)))
                        })
                    });
                for first in FIRST_ARGUMENTS.into_iter().take(if asked { 8 } else { 1 }) {
                    let call = Call { architecture, number, arguments: [first, 1, 0, 0, 0, 0] };
                    assert_eq!(run(&program, &call), evaluate(&profile, &call).code(), "{call:x?}");
                }
            }
        }
    }
}

#[test]
fn the_default_program_is_small() {
    let program = compile(&default_profile(&circumstances(&[]))).unwrap();
    let instructions = program.len() / 8;
    assert!(instructions < 500, "{instructions} instructions");
}

fn call(name: &str, first: u64) -> Call {
    Call {
        architecture: Architecture::X86_64.audit_code(),
        number: table(Architecture::X86_64)[name],
        arguments: [first, 0, 0, 0, 0, 0],
    }
}

#[test]
fn what_people_know_of_the_default_profile_holds() {
    let check = |capabilities: &[&str], name: &str, first: u64, expected: Action| {
        let profile = default_profile(&circumstances(capabilities));
        let program = compile(&profile).unwrap();
        assert_eq!(
            run(&program, &call(name, first)),
            expected.code(),
            "{name}({first:#x}) {capabilities:?}"
        );
    };
    let (allow, eperm, enosys) = (Action::Allow, Action::Errno(1), Action::Errno(38));
    check(&[], "read", 0, allow);
    check(&[], "mount", 0, eperm);
    check(&["CAP_SYS_ADMIN"], "mount", 0, allow);
    check(&[], "clone", 0x11, allow);
    check(&[], "clone", 0x1000_0011, eperm);
    check(&["CAP_SYS_ADMIN"], "clone", 0x1000_0011, allow);
    check(&[], "clone3", 0, enosys);
    check(&["CAP_SYS_ADMIN"], "clone3", 0, allow);
    check(&[], "personality", 0xffff_ffff, allow);
    check(&[], "personality", 0x4_0000, eperm);
    check(&[], "socket", 2, allow);
    check(&[], "socket", 38, eperm);
    check(&[], "socket", 40, eperm);
    check(&[], "socket", 0x1_0000_0028, eperm);
    check(&[], "socket", 0x1_0000_0026, eperm);
    check(&[], "socket", 44, allow);
    check(&[], "keyctl", 0, eperm);
    check(&[], "ptrace", 0, allow);
    check(&[], "reboot", 0, eperm);
    check(&["CAP_SYS_BOOT"], "reboot", 0, allow);
    check(&[], "io_uring_setup", 0, eperm);
}

#[test]
fn a_call_that_is_newer_than_the_profile_does_not_exist() {
    let program = compile(&default_profile(&circumstances(&[]))).unwrap();
    let call = Call { number: 9999, ..call("read", 0) };
    assert_eq!(run(&program, &call), Action::Errno(38).code());
}

#[test]
fn the_version_of_a_kernel_is_read_from_its_release() {
    assert_eq!(kernel_version("6.1.0-56-cloud-amd64"), (6, 1));
    assert_eq!(kernel_version("4.19"), (4, 19));
    assert_eq!(kernel_version("5.10-rc1"), (5, 10));
    assert_eq!(kernel_version(""), (0, 0));
}

/// A long profile makes jumps longer than eight bits.
#[test]
fn distance_does_not_matter() {
    let conditions =
        |value| vec![Condition { argument: 1, comparison: Comparison::Greater, value }];
    let rules = table(Architecture::X86_64)
        .iter()
        .map(|(name, number)| Rule {
            names: vec![(*name).to_owned()],
            action: Action::Errno(u16::try_from(number % 50).unwrap()),
            conditions: if number % 3 == 0 {
                conditions(u64::from(*number) << 30)
            } else {
                Vec::new()
            },
        })
        .collect();
    let profile = Profile {
        default_action: Action::Trap,
        architectures: Architecture::X86_64.family().to_vec(),
        rules,
        flags: 0,
    };
    let program = compile(&profile).unwrap();
    for number in 0..600 {
        for second in [0, u64::from(number) << 30, (u64::from(number) << 30) + 1, u64::MAX] {
            for architecture in ARCHITECTURES {
                let call = Call { architecture, number, arguments: [0, second, 0, 0, 0, 0] };
                assert_eq!(run(&program, &call), evaluate(&profile, &call).code(), "{call:x?}");
            }
        }
    }
}

/// The kernel takes the program, and a process feels it.
#[test]
fn a_process_under_the_filter_gets_the_errno() {
    let profile = default_profile(&Circumstances::native([], "6.18.44"));
    let program = compile(&profile).unwrap();
    let child = naru_kernel::clone::spawn(0, None, || {
        if naru_kernel::credentials::install_filter(&program, profile.flags).is_err() {
            return 1;
        }
        // What needs no memory: another thread of this process may hold the allocator.
        let unshared = rustix_errno(naru_kernel::namespace::leave(naru_kernel::clone::flags::UTS));
        if unshared == Some(1) { 0 } else { 2 }
    })
    .unwrap();
    naru_kernel::poll::readable(
        std::os::fd::AsFd::as_fd(&child.pidfd),
        Some(std::time::Duration::from_secs(30)),
    )
    .unwrap();
    let ended = naru_kernel::pidfd::reap(&child.pidfd).unwrap();
    assert_eq!(ended, Some(naru_kernel::pidfd::Ended::Code(0)));
}

fn rustix_errno(result: std::io::Result<()>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}
