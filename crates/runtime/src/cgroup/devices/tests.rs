use super::*;
use proptest::prelude::*;

fn rule(text: &str) -> DeviceRule {
    let mut words = text.split(' ');
    let allow = words.next() == Some("+");
    let kind = match words.next() {
        Some("c") => DeviceKind::Char,
        Some("b") => DeviceKind::Block,
        _ => DeviceKind::All,
    };
    let mut access = 0;
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    let (major, minor) = (number(words.next()), number(words.next()));
    for letter in words.next().unwrap_or("rwm").chars() {
        access |= match letter {
            'r' => READ,
            'w' => WRITE,
            _ => MKNOD,
        };
    }
    DeviceRule { allow, kind, major, minor, access }
}

fn rules(texts: &[&str]) -> Vec<DeviceRule> {
    texts.iter().map(|text| rule(text)).collect()
}

/// What the specification says: for each kind of access the last rule that covers the device decides.
fn allowed(rules: &[DeviceRule], kind: DeviceKind, major: u32, minor: u32, access: u8) -> bool {
    [MKNOD, READ, WRITE].into_iter().filter(|bit| access & bit != 0).all(|bit| {
        rules
            .iter()
            .rev()
            .find(|rule| {
                (rule.kind == DeviceKind::All || rule.kind == kind)
                    && rule.major.is_none_or(|number| number == major)
                    && rule.minor.is_none_or(|number| number == minor)
                    && rule.access & bit != 0
            })
            .is_none_or(|rule| rule.allow)
    })
}

/// What the v1 controller does with a default and exceptions: an allowing exception must cover all of an access.
fn allowed_by(policy: &Policy, kind: DeviceKind, major: u32, minor: u32, access: u8) -> bool {
    let mut matching = policy.exceptions.iter().filter(|rule| {
        rule.kind == kind
            && rule.major.is_none_or(|number| number == major)
            && rule.minor.is_none_or(|number| number == minor)
    });
    if policy.allow_by_default {
        !matching.any(|rule| rule.access & access != 0)
    } else {
        matching.any(|rule| access & !rule.access == 0)
    }
}

/// Runs the program as the kernel does.
fn run(program: &[[u8; 8]], kind: DeviceKind, major: u32, minor: u32, access: u8) -> bool {
    let kind = if kind == DeviceKind::Block { 1 } else { 2 };
    let context = [u32::from(access) << 16 | kind, major, minor];
    for (at, [opcode, _, o0, o1, ..]) in program.iter().enumerate() {
        let target = at + 1 + usize::try_from(i16::from_ne_bytes([*o0, *o1])).unwrap();
        assert!(!matches!(*opcode, JUMP_EQUAL | JUMP_NOT_EQUAL) || target < program.len());
    }
    assert_eq!(program.last().unwrap()[0], EXIT);
    let mut registers = [0_u32; 11];
    let mut at = 0_usize;
    loop {
        let [opcode, both, o0, o1, k0, k1, k2, k3] = program[at];
        let (destination, source) = (usize::from(both & 15), usize::from(both >> 4));
        let offset = i16::from_ne_bytes([o0, o1]);
        let constant = u32::from_ne_bytes([k0, k1, k2, k3]);
        at += 1;
        let jump = usize::try_from(offset).unwrap();
        match opcode {
            LOAD_WORD => registers[destination] = context[jump / 4],
            AND_CONSTANT => registers[destination] &= constant,
            SHIFT_RIGHT => registers[destination] >>= constant,
            MOVE_CONSTANT => registers[destination] = constant,
            MOVE_REGISTER => registers[destination] = registers[source],
            JUMP_NOT_EQUAL if registers[destination] != constant => at += jump,
            JUMP_EQUAL if registers[destination] == constant => at += jump,
            JUMP_NOT_EQUAL | JUMP_EQUAL => {}
            EXIT => return registers[0] == 1,
            other => panic!("opcode {other}"),
        }
    }
}

fn any_rule() -> impl Strategy<Value = DeviceRule> {
    let kind = prop_oneof![Just(DeviceKind::Char), Just(DeviceKind::Block), Just(DeviceKind::All)];
    let number = || proptest::option::of(0_u32..3);
    (any::<bool>(), kind, number(), number(), 1_u8..8).prop_map(
        |(allow, kind, major, minor, access)| {
            let (major, minor) =
                if kind == DeviceKind::All { (None, None) } else { (major, minor) };
            DeviceRule { allow, kind, major, minor, access }
        },
    )
}

proptest! {
    #[test]
    fn the_program_decides_as_the_rules_do(
        rules in proptest::collection::vec(any_rule(), 0..8),
        block in any::<bool>(), major in 0_u32..4, minor in 0_u32..4, access in 1_u8..8,
    ) {
        let kind = if block { DeviceKind::Block } else { DeviceKind::Char };
        prop_assert_eq!(
            run(&program(&rules), kind, major, minor, access),
            allowed(&rules, kind, major, minor, access)
        );
    }

    /// v1 asks one exception to cover a whole access, so only accesses of one kind are compared.
    #[test]
    fn the_policy_of_v1_decides_as_the_rules_do(
        rules in proptest::collection::vec(any_rule(), 0..8),
        block in any::<bool>(), major in 0_u32..4, minor in 0_u32..4, bit in 0_u8..3,
    ) {
        let kind = if block { DeviceKind::Block } else { DeviceKind::Char };
        if let Ok(policy) = Policy::from_rules(&rules) {
            prop_assert_eq!(
                allowed_by(&policy, kind, major, minor, 1 << bit),
                allowed(&rules, kind, major, minor, 1 << bit)
            );
        }
    }
}

fn lines(texts: &[&str]) -> Vec<String> {
    let policy = Policy::from_rules(&rules(texts)).unwrap();
    policy.lines().into_iter().map(|(file, line)| format!("{file} {line}")).collect()
}

#[test]
fn the_usual_rules_are_one_denial_and_exceptions() {
    assert_eq!(
        lines(&["- a", "+ c * * m", "+ b * * m", "+ c 1 3", "+ c 136 *"]),
        [
            "devices.deny a",
            "devices.allow c *:* m",
            "devices.allow b *:* m",
            "devices.allow c 1:3 rwm",
            "devices.allow c 136:* rwm"
        ]
    );
}

#[test]
fn accesses_of_one_device_come_together() {
    assert_eq!(
        lines(&["- a", "+ c 1 3 r", "+ c 1 3 w"]),
        ["devices.deny a", "devices.allow c 1:3 rw"]
    );
    assert_eq!(
        lines(&["- a", "+ c 1 3 rw", "- c 1 3 w"]),
        ["devices.deny a", "devices.allow c 1:3 r"]
    );
    assert_eq!(lines(&["+ a"]), ["devices.allow a"]);
}

#[test]
fn an_exception_from_an_exception_is_refused_on_v1() {
    assert!(Policy::from_rules(&rules(&["- a", "+ c * * m", "- c 1 3 m"])).is_err());
}
