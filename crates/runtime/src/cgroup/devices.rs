//! Pure: rules about devices, as lines of the v1 hierarchy and as a BPF program of the unified one.
//!
//! The rules of a spec are read in order, and for each kind of access the last one that covers a device decides. v1
//! cannot say that: it has a default and exceptions from it, so the rules are brought into that form first.

use super::CgroupError;
use naru_oci::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

const SETTING: &str = "access to devices";

/// Which devices a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceKind {
    All,
    Char,
    Block,
}

/// One rule. `None` numbers stand for every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceRule {
    pub(crate) allow: bool,
    pub(crate) kind: DeviceKind,
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    pub(crate) access: u8,
}

pub(crate) const MKNOD: u8 = 1;
pub(crate) const READ: u8 = 2;
pub(crate) const WRITE: u8 = 4;
const EVERY_ACCESS: u8 = MKNOD | READ | WRITE;

/// Reads the rules of a spec.
pub(crate) fn parse(rules: &[LinuxDeviceCgroup]) -> Result<Vec<DeviceRule>, CgroupError> {
    rules.iter().map(rule).collect()
}

fn rule(given: &LinuxDeviceCgroup) -> Result<DeviceRule, CgroupError> {
    let bad = |value: String, reason| CgroupError::BadValue { setting: SETTING, value, reason };
    let kind = match given.typ() {
        None | Some(LinuxDeviceType::A) => DeviceKind::All,
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => DeviceKind::Char,
        Some(LinuxDeviceType::B) => DeviceKind::Block,
        Some(other @ LinuxDeviceType::P) => {
            return Err(bad(format!("{other:?}"), "a pipe is not a device"));
        }
    };
    let number = |number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_range| bad(number.to_string(), "it is not a device number")),
    };
    let mut access = 0;
    for letter in given.access().as_deref().unwrap_or("").chars() {
        access |= match letter {
            'r' => READ,
            'w' => WRITE,
            'm' => MKNOD,
            other => return Err(bad(other.to_string(), "an access is one of `r`, `w` and `m`")),
        };
    }
    let (major, minor) = (number(given.major())?, number(given.minor())?);
    // The specification leaves access out of "all of them"; so do others.
    if access == 0 {
        access = EVERY_ACCESS;
    }
    if kind == DeviceKind::All && (major.is_some() || minor.is_some()) {
        return Err(bad("a".to_owned(), "a rule about all devices has no numbers"));
    }
    Ok(DeviceRule { allow: given.allow(), kind, major, minor, access })
}

impl DeviceRule {
    fn is_about_everything(&self) -> bool {
        self.kind == DeviceKind::All && self.access == EVERY_ACCESS
    }

    /// A rule about all devices is one about those of each kind.
    fn split(self) -> Vec<DeviceRule> {
        match self.kind {
            DeviceKind::All => vec![
                DeviceRule { kind: DeviceKind::Char, ..self },
                DeviceRule { kind: DeviceKind::Block, ..self },
            ],
            DeviceKind::Char | DeviceKind::Block => vec![self],
        }
    }

    fn same_devices(&self, other: &DeviceRule) -> bool {
        (self.kind, self.major, self.minor) == (other.kind, other.major, other.minor)
    }

    fn covers(&self, other: &DeviceRule) -> bool {
        let number = |mine: Option<u32>, its: Option<u32>| mine.is_none() || mine == its;
        self.kind == other.kind
            && number(self.major, other.major)
            && number(self.minor, other.minor)
    }

    fn overlaps(&self, other: &DeviceRule) -> bool {
        let number =
            |mine: Option<u32>, its: Option<u32>| mine.is_none() || its.is_none() || mine == its;
        self.kind == other.kind
            && number(self.major, other.major)
            && number(self.minor, other.minor)
    }

    /// The line that the v1 files take.
    fn line(&self) -> String {
        let kind = if self.kind == DeviceKind::Block { 'b' } else { 'c' };
        let number =
            |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        let mut line = format!("{kind} {}:{} ", number(self.major), number(self.minor));
        for (bit, letter) in [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')] {
            if self.access & bit != 0 {
                line.push(letter);
            }
        }
        line
    }
}

/// Rules in the form of v1: a default, and exceptions from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) allow_by_default: bool,
    pub(crate) exceptions: Vec<DeviceRule>,
}

impl Policy {
    /// Brings rules into this form; refused when an exception from an exception would be needed.
    pub(crate) fn from_rules(rules: &[DeviceRule]) -> Result<Policy, CgroupError> {
        let mut policy = Policy { allow_by_default: true, exceptions: Vec::new() };
        for rule in rules {
            if rule.is_about_everything() {
                policy = Policy { allow_by_default: rule.allow, exceptions: Vec::new() };
                continue;
            }
            for rule in rule.split() {
                policy.add(rule)?;
            }
        }
        Ok(policy)
    }

    fn add(&mut self, rule: DeviceRule) -> Result<(), CgroupError> {
        if rule.allow != self.allow_by_default {
            match self.exceptions.iter_mut().find(|known| known.same_devices(&rule)) {
                Some(known) => known.access |= rule.access,
                None => self.exceptions.push(rule),
            }
            return Ok(());
        }
        // Back to the default: exceptions that it covers lose these accesses.
        for known in &mut self.exceptions {
            if rule.covers(known) {
                known.access &= !rule.access;
            } else if rule.overlaps(known) && known.access & rule.access != 0 {
                return Err(CgroupError::Unsupported {
                    setting: SETTING,
                    reason: "on cgroup v1 a rule cannot take a part back of what an earlier, wider rule gave",
                    instead: "give narrower rules, or use a host with the unified hierarchy",
                });
            }
        }
        self.exceptions.retain(|known| known.access != 0);
        Ok(())
    }

    /// What is written: the file (`devices.allow` or `devices.deny`) and the line, in order.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let (default, exception) = if self.allow_by_default {
            ("devices.allow", "devices.deny")
        } else {
            ("devices.deny", "devices.allow")
        };
        let mut lines = vec![(default, "a".to_owned())];
        lines.extend(self.exceptions.iter().map(|rule| (exception, rule.line())));
        lines
    }

    /// Whether this is no restriction at all.
    pub(crate) fn is_open(&self) -> bool {
        self.allow_by_default && self.exceptions.is_empty()
    }
}

// The instructions used: opcode, then destination and source register, offset and constant.
const LOAD_WORD: u8 = 0x61;
const AND_CONSTANT: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE_CONSTANT: u8 = 0xb4;
const MOVE_REGISTER: u8 = 0xbc;
const JUMP_NOT_EQUAL: u8 = 0x55;
const JUMP_EQUAL: u8 = 0x15;
const EXIT: u8 = 0x95;

const KIND_REGISTER: u8 = 2;
const PENDING_REGISTER: u8 = 3;
const MAJOR_REGISTER: u8 = 4;
const MINOR_REGISTER: u8 = 5;
const SCRATCH_REGISTER: u8 = 6;

fn instruction(opcode: u8, destination: u8, source: u8, offset: i16, constant: u32) -> [u8; 8] {
    let [offset_low, offset_high] = offset.to_ne_bytes();
    let [k0, k1, k2, k3] = constant.to_ne_bytes();
    [opcode, destination | (source << 4), offset_low, offset_high, k0, k1, k2, k3]
}

/// The program for the unified hierarchy: 1 allows, 0 denies. An access of several kinds needs each of them allowed.
///
/// The rules are tried from the last to the first; the kinds of access that are not decided yet wait in a register.
pub(crate) fn program(rules: &[DeviceRule]) -> Vec<[u8; 8]> {
    let mut program = vec![
        instruction(LOAD_WORD, KIND_REGISTER, 1, 0, 0),
        instruction(MOVE_REGISTER, PENDING_REGISTER, KIND_REGISTER, 0, 0),
        instruction(AND_CONSTANT, KIND_REGISTER, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, PENDING_REGISTER, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR_REGISTER, 1, 4, 0),
        instruction(LOAD_WORD, MINOR_REGISTER, 1, 8, 0),
    ];
    for rule in rules.iter().rev() {
        // What comes further down, it overrules. The verifier wants no jump behind the end.
        if rule.is_about_everything() {
            program.push(instruction(MOVE_CONSTANT, 0, 0, 0, u32::from(rule.allow)));
            program.push(instruction(EXIT, 0, 0, 0, 0));
            return program;
        }
        let decide: Vec<[u8; 8]> = if rule.allow {
            vec![
                instruction(
                    AND_CONSTANT,
                    PENDING_REGISTER,
                    0,
                    0,
                    u32::from(!rule.access & EVERY_ACCESS),
                ),
                instruction(JUMP_NOT_EQUAL, PENDING_REGISTER, 0, 2, 0),
                instruction(MOVE_CONSTANT, 0, 0, 0, 1),
                instruction(EXIT, 0, 0, 0, 0),
            ]
        } else {
            vec![
                instruction(MOVE_REGISTER, SCRATCH_REGISTER, PENDING_REGISTER, 0, 0),
                instruction(AND_CONSTANT, SCRATCH_REGISTER, 0, 0, u32::from(rule.access)),
                instruction(JUMP_EQUAL, SCRATCH_REGISTER, 0, 2, 0),
                instruction(MOVE_CONSTANT, 0, 0, 0, 0),
                instruction(EXIT, 0, 0, 0, 0),
            ]
        };
        let mut tests = Vec::new();
        match rule.kind {
            DeviceKind::All => {}
            DeviceKind::Block => tests.push((KIND_REGISTER, 1)),
            DeviceKind::Char => tests.push((KIND_REGISTER, 2)),
        }
        tests.extend(rule.major.map(|major| (MAJOR_REGISTER, major)));
        tests.extend(rule.minor.map(|minor| (MINOR_REGISTER, minor)));
        let mut left = tests.len();
        for (register, value) in tests {
            left -= 1;
            let skip = i16::try_from(left + decide.len()).unwrap_or(i16::MAX);
            program.push(instruction(JUMP_NOT_EQUAL, register, 0, skip, value));
        }
        program.extend(decide);
    }
    program.push(instruction(MOVE_CONSTANT, 0, 0, 0, 1));
    program.push(instruction(EXIT, 0, 0, 0, 0));
    program
}

#[cfg(test)]
mod tests;
