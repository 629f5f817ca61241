//! Pure: a profile becomes a classic BPF program.
//!
//! ```text
//! architecture ──▶ number ──▶ binary search over ranges of numbers with the same verdict ──▶ return
//!                                                            └──▶ compare arguments ──▶ return
//! ```
//!
//! The program is put together from its end, because jumps only go forward: whatever is jumped to is there already.
//! Offsets of conditional jumps have eight bits; where a target is further away an unconditional jump is put between.

use super::table::{X32_BIT, X32_OWN, table};
use super::{Action, Architecture, Comparison, Condition, Profile, Rule, SeccompError};
use std::collections::BTreeMap;

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;
const ARGUMENTS_OFFSET: u32 = 16;

const LONGEST_PROGRAM: usize = 4096;
const ENOSYS: u16 = 38;

/// Compiles a profile: eight bytes an instruction, ready to be installed.
pub fn compile(profile: &Profile) -> Result<Vec<u8>, SeccompError> {
    let mut program = Program::new(profile.default_action);
    let mut entries: Vec<(u32, usize)> = Vec::new();
    let has = |architecture| profile.architectures.contains(&architecture);
    for architecture in [Architecture::Arm, Architecture::Aarch64, Architecture::X86] {
        if has(architecture) {
            let ranges = ranges(profile, architecture);
            let tree = program.tree(&ranges);
            let entry = program.load(NUMBER_OFFSET, tree);
            entries.push((architecture.audit_code(), entry));
        }
    }
    if has(Architecture::X86_64) || has(Architecture::X32) {
        let entry = x86_64(&mut program, profile);
        entries.push((Architecture::X86_64.audit_code(), entry));
    }
    let mut start = program.give(Action::KillProcess.code());
    for (code, entry) in entries {
        start = program.branch((JUMP_EQUAL, code), entry, start);
    }
    program.load(ARCHITECTURE_OFFSET, start);
    program.finish()
}

/// Both ways of calling of 64-bit x86; they differ in one bit of the number, and share the tree.
fn x86_64(program: &mut Program, profile: &Profile) -> usize {
    let has = |architecture| profile.architectures.contains(&architecture);
    let shared = {
        let ranges = ranges(profile, Architecture::X86_64);
        program.tree(&ranges)
    };
    let native =
        if has(Architecture::X86_64) { shared } else { program.give(Action::KillProcess.code()) };
    let other = if has(Architecture::X32) {
        let own = program.tree(&ranges(profile, Architecture::X32));
        let test = program.branch((JUMP_GREATER_OR_EQUAL, X32_OWN), own, shared);
        program.then(AND, !X32_BIT, test)
    } else {
        // A tracer skips a call by setting its number to -1.
        let skipped = program.give(profile.default_action.code());
        let kill = program.give(Action::KillProcess.code());
        program.branch((JUMP_EQUAL, u32::MAX), skipped, kill)
    };
    let test = program.branch((JUMP_GREATER_OR_EQUAL, X32_BIT), other, native);
    program.load(NUMBER_OFFSET, test)
}

/// What is decided about a number.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict<'a> {
    Always(Action),
    /// The first rule whose conditions hold; otherwise the default.
    Depends(Vec<&'a Rule>),
}

/// A number, and what holds from it on, up to the next range.
type Range<'a> = (u32, Verdict<'a>);

/// All numbers, as ranges with the same verdict.
fn ranges(profile: &Profile, architecture: Architecture) -> Vec<Range<'_>> {
    let numbers = table(architecture);
    let mut rules: BTreeMap<u32, Vec<&Rule>> = BTreeMap::new();
    for rule in &profile.rules {
        for number in rule.names.iter().filter_map(|name| numbers.get(name.as_str())) {
            rules.entry(*number).or_default().push(rule);
        }
    }
    let default = Verdict::Always(profile.default_action);
    let beyond = rules.keys().next_back().map_or(0, |highest| highest + 1);
    let mut ranges: Vec<Range<'_>> = Vec::new();
    // What is not named lies before the first, between two, and after the last.
    let mut next = 0;
    for (number, rules) in rules {
        if number > next {
            ranges.push((next, default.clone()));
        }
        ranges.push((number, verdict(rules, profile.default_action)));
        next = number + 1;
    }
    ranges.push((beyond, Verdict::Always(unknown(profile.default_action))));
    ranges.dedup_by(|later, earlier| later.1 == earlier.1);
    ranges
}

/// What happens to numbers beyond all that a profile names.
pub(crate) fn unknown(default: Action) -> Action {
    match default {
        Action::Errno(_) => Action::Errno(ENOSYS),
        other => other,
    }
}

/// A rule without conditions decides alone. One that says what would happen anyway is no rule.
fn verdict(mut rules: Vec<&Rule>, default: Action) -> Verdict<'_> {
    rules.retain(|rule| rule.action != default);
    if rules.is_empty() {
        return Verdict::Always(default);
    }
    match rules.iter().find(|rule| rule.conditions.is_empty()) {
        Some(rule) => Verdict::Always(rule.action),
        None => Verdict::Depends(rules),
    }
}

/// A program under construction, the last instruction first. Instructions are named by their place from the end.
struct Program {
    default_action: Action,
    reversed: Vec<[u8; 8]>,
    /// The latest return of each value.
    returns: BTreeMap<u32, usize>,
}

impl Program {
    fn new(default_action: Action) -> Program {
        Program { default_action, reversed: Vec::new(), returns: BTreeMap::new() }
    }

    fn put(&mut self, code: u16, (on_true, on_false): (u8, u8), constant: u32) -> usize {
        let [low, high] = code.to_ne_bytes();
        let [k0, k1, k2, k3] = constant.to_ne_bytes();
        self.reversed.push([low, high, on_true, on_false, k0, k1, k2, k3]);
        self.reversed.len() - 1
    }

    /// How far a jump that is put now would go to reach `target`.
    fn distance(&self, target: usize) -> usize {
        self.reversed.len() - 1 - target
    }

    /// A return of this value, not further away than a jump reaches.
    fn give(&mut self, value: u32) -> usize {
        // Some room is left for what comes between the return and the jump to it.
        const NEAR: usize = 200;
        match self.returns.get(&value) {
            Some(known) if self.distance(*known) < NEAR => *known,
            _ => {
                let place = self.put(RETURN, (0, 0), value);
                self.returns.insert(value, place);
                place
            }
        }
    }

    /// An instruction after which `next` is done.
    fn then(&mut self, code: u16, constant: u32, next: usize) -> usize {
        let distance = self.distance(next);
        if distance > 0 {
            self.put(JUMP, (0, 0), u32::try_from(distance).unwrap_or(u32::MAX));
        }
        self.put(code, (0, 0), constant)
    }

    fn load(&mut self, offset: u32, next: usize) -> usize {
        self.then(LOAD, offset, next)
    }

    /// Goes to `yes` or to `no`, however far they are.
    fn branch(&mut self, (code, constant): (u16, u32), yes: usize, no: usize) -> usize {
        let (mut yes, mut no) = (yes, no);
        // Two rounds, because what is put between for one moves the other away.
        for _round in 0..2 {
            for target in [&mut yes, &mut no] {
                let distance = self.reversed.len() - 1 - *target;
                // One more fits in between for the other target.
                if distance + 1 > usize::from(u8::MAX) {
                    *target = self.put(JUMP, (0, 0), u32::try_from(distance).unwrap_or(u32::MAX));
                }
            }
        }
        let offset = |distance: usize| u8::try_from(distance).unwrap_or(u8::MAX);
        let offsets = (offset(self.distance(yes)), offset(self.distance(no)));
        self.put(code, offsets, constant)
    }

    /// A binary search over ranges; the number is in the accumulator.
    fn tree(&mut self, ranges: &[Range<'_>]) -> usize {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        match (low, high) {
            ([], []) => self.give(self.default_action.code()),
            ([], [(_, verdict)]) => self.leaf(verdict),
            (_, [(first, _), ..]) => {
                let first = *first;
                let above = self.tree(high);
                let below = self.tree(low);
                self.branch((JUMP_GREATER_OR_EQUAL, first), above, below)
            }
            (_, []) => self.tree(low),
        }
    }

    fn leaf(&mut self, verdict: &Verdict<'_>) -> usize {
        match verdict {
            Verdict::Always(action) => self.give(action.code()),
            Verdict::Depends(rules) => {
                let mut otherwise = self.give(self.default_action.code());
                for rule in rules.iter().rev() {
                    let mut holds = self.give(rule.action.code());
                    for condition in rule.conditions.iter().rev() {
                        holds = self.compare(*condition, holds, otherwise);
                    }
                    otherwise = holds;
                }
                otherwise
            }
        }
    }

    /// Compares an argument, one half after the other: the program's numbers have 32 bits.
    fn compare(&mut self, condition: Condition, yes: usize, no: usize) -> usize {
        let low_offset = ARGUMENTS_OFFSET + 8 * u32::from(condition.argument);
        let high_offset = low_offset + 4;
        let (high, low) = halves(condition.value);
        // The order is turned around until it is one of four.
        let (comparison, yes, no) = match condition.comparison {
            Comparison::NotEqual => (Comparison::Equal, no, yes),
            Comparison::Less => (Comparison::GreaterOrEqual, no, yes),
            Comparison::LessOrEqual => (Comparison::Greater, no, yes),
            other => (other, yes, no),
        };
        if let Comparison::MaskedEqual(mask) = comparison {
            let (high_mask, low_mask) = halves(mask);
            let low = self.masked((low_offset, low_mask, low), yes, no);
            return self.masked((high_offset, high_mask, high), low, no);
        }
        let test = match comparison {
            Comparison::Greater => JUMP_GREATER,
            Comparison::GreaterOrEqual => JUMP_GREATER_OR_EQUAL,
            _ => JUMP_EQUAL,
        };
        let low_test = self.branch((test, low), yes, no);
        let low_load = self.load(low_offset, low_test);
        let mut high_test = self.branch((JUMP_EQUAL, high), low_load, no);
        if test != JUMP_EQUAL {
            high_test = self.branch((JUMP_GREATER, high), yes, high_test);
        }
        self.load(high_offset, high_test)
    }

    fn masked(&mut self, (offset, mask, value): (u32, u32, u32), yes: usize, no: usize) -> usize {
        if mask == 0 {
            return if value == 0 { yes } else { no };
        }
        let test = self.branch((JUMP_EQUAL, value), yes, no);
        let masked = self.then(AND, mask, test);
        self.load(offset, masked)
    }

    fn finish(self) -> Result<Vec<u8>, SeccompError> {
        if self.reversed.len() > LONGEST_PROGRAM {
            return Err(SeccompError::TooLong { instructions: self.reversed.len() });
        }
        Ok(self.reversed.into_iter().rev().flatten().collect())
    }
}

fn halves(value: u64) -> (u32, u32) {
    let [b0, b1, b2, b3, b4, b5, b6, b7] = value.to_be_bytes();
    (u32::from_be_bytes([b0, b1, b2, b3]), u32::from_be_bytes([b4, b5, b6, b7]))
}
