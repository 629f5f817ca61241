//! Pure: profiles in the JSON that docker reads (`--security-opt seccomp=FILE`).

use super::{
    Action, Architecture, Circumstances, Comparison, Condition, Profile, Rule, SeccompError,
};
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    default_action: String,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<ArchEntry>>,
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    syscalls: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchEntry {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    name: String,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    args: Option<Vec<Argument>>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u64,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Reads a profile and resolves it.
pub fn parse_docker(json: &str, circumstances: &Circumstances) -> Result<Profile, SeccompError> {
    let document: Document = serde_json::from_str(json)?;
    if document.listener_path.is_some_and(|path| !path.is_empty()) {
        return Err(SeccompError::Unsupported { what: "a listener (`listenerPath`)".to_owned() });
    }
    let given = document.architectures.filter(|list| !list.is_empty());
    let map = document.arch_map.filter(|list| !list.is_empty());
    let architectures = match (given, map) {
        (Some(_), Some(_)) => {
            return Err(SeccompError::Both { first: "architectures", second: "archMap" });
        }
        (Some(list), None) => architectures(&list)?,
        (None, Some(map)) => from_map(&map, circumstances.architecture)?,
        (None, None) => vec![circumstances.architecture],
    };
    let mut rules = Vec::new();
    for entry in document.syscalls.into_iter().flatten() {
        let names = match entry.names.filter(|names| !names.is_empty()) {
            Some(_) if !entry.name.is_empty() => {
                return Err(SeccompError::Both { first: "name", second: "names" });
            }
            Some(names) => names,
            None if entry.name.is_empty() => continue,
            None => vec![entry.name],
        };
        if !holds(&entry.includes, &entry.excludes, circumstances)? {
            continue;
        }
        let action = action(&entry.action, entry.errno_ret)?;
        let conditions = entry
            .args
            .iter()
            .flatten()
            .map(|argument| {
                condition(argument.index, (argument.value, argument.value_two), &argument.op)
            })
            .collect::<Result<Vec<_>, _>>()?;
        rules.extend(rules_of(names, action, conditions));
    }
    Ok(Profile {
        default_action: action(&document.default_action, document.default_errno_ret)?,
        architectures,
        rules,
        flags: flags(document.flags.iter().flatten().map(String::as_str))?,
    })
}

/// Whether a rule counts: all that it includes is there, and nothing that it excludes.
fn holds(
    includes: &Option<Filter>,
    excludes: &Option<Filter>,
    circumstances: &Circumstances,
) -> Result<bool, SeccompError> {
    let own = circumstances.architecture.docker_name();
    let reached = |filter: &Filter| -> Result<Option<bool>, SeccompError> {
        match filter.min_kernel.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => Ok(Some(circumstances.kernel >= version(text)?)),
        }
    };
    if let Some(filter) = includes {
        let arches = filter.arches.as_deref().unwrap_or_default();
        let capable = filter.caps.iter().flatten().all(|name| circumstances.can(name));
        if (!arches.is_empty() && !arches.iter().any(|arch| arch == own))
            || !capable
            || reached(filter)? == Some(false)
        {
            return Ok(false);
        }
    }
    if let Some(filter) = excludes {
        let arches = filter.arches.as_deref().unwrap_or_default();
        if arches.iter().any(|arch| arch == own)
            || filter.caps.iter().flatten().any(|name| circumstances.can(name))
            || reached(filter)? == Some(true)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn version(text: &str) -> Result<(u32, u32), SeccompError> {
    let bad = || SeccompError::BadValue { field: "minKernel", value: text.to_owned() };
    let (major, minor) = text.split_once('.').ok_or_else(bad)?;
    Ok((major.parse().map_err(|_digits| bad())?, minor.parse().map_err(|_digits| bad())?))
}

fn from_map(map: &[ArchEntry], machine: Architecture) -> Result<Vec<Architecture>, SeccompError> {
    for entry in map {
        if Architecture::from_scmp(&entry.architecture) == Some(machine) {
            let mut list = vec![entry.architecture.clone()];
            list.extend(entry.sub_architectures.iter().flatten().cloned());
            return architectures(&list);
        }
    }
    Ok(vec![machine])
}

/// The architectures by libseccomp's names. Other machines' are left out: no program here calls that way.
pub(crate) fn architectures(names: &[String]) -> Result<Vec<Architecture>, SeccompError> {
    const ELSEWHERE: &str = "MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X \
                             RISCV64 LOONGARCH64 PARISC PARISC64 M68K SH SHEB";
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for name in names {
        match Architecture::from_scmp(name) {
            Some(architecture) => {
                if seen.insert(architecture) {
                    found.push(architecture);
                }
            }
            None if name
                .strip_prefix("SCMP_ARCH_")
                .is_some_and(|name| ELSEWHERE.split_whitespace().any(|known| known == name)) => {}
            None => {
                return Err(SeccompError::BadValue { field: "architecture", value: name.clone() });
            }
        }
    }
    Ok(found)
}

/// An action by libseccomp's name.
pub(crate) fn action(name: &str, errno: Option<u32>) -> Result<Action, SeccompError> {
    let number = |default: u16| match errno {
        None => Ok(default),
        Some(number) => u16::try_from(number)
            .ok()
            .filter(|number| *number < 4096)
            .ok_or_else(|| SeccompError::BadValue { field: "errnoRet", value: number.to_string() }),
    };
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_ERRNO" => Action::Errno(number(1)?),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_TRACE" => Action::Trace(number(1)?),
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_NOTIFY" => {
            return Err(SeccompError::Unsupported {
                what: "notifying another process (`SCMP_ACT_NOTIFY`)".to_owned(),
            });
        }
        other => return Err(SeccompError::BadValue { field: "action", value: other.to_owned() }),
    })
}

/// A condition by libseccomp's name.
pub(crate) fn condition(
    index: u64,
    (value, second): (u64, u64),
    op: &str,
) -> Result<Condition, SeccompError> {
    let argument = u8::try_from(index).ok().filter(|index| *index < 6).ok_or_else(|| {
        SeccompError::BadValue { field: "index of an argument", value: index.to_string() }
    })?;
    let (comparison, value) = match op {
        "SCMP_CMP_NE" => (Comparison::NotEqual, value),
        "SCMP_CMP_LT" => (Comparison::Less, value),
        "SCMP_CMP_LE" => (Comparison::LessOrEqual, value),
        "SCMP_CMP_EQ" => (Comparison::Equal, value),
        "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, value),
        "SCMP_CMP_GT" => (Comparison::Greater, value),
        // Here the value is the mask, and the second one what is compared with; bits outside the mask never count.
        "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual(value), second & value),
        other => return Err(SeccompError::BadValue { field: "operator", value: other.to_owned() }),
    };
    Ok(Condition { argument, comparison, value })
}

/// Conditions must all hold; but several about the same argument are alternatives, each a rule of its own. That is how
/// docker and runc read their profiles.
pub(crate) fn rules_of(
    names: Vec<String>,
    action: Action,
    conditions: Vec<Condition>,
) -> Vec<Rule> {
    let arguments: BTreeSet<u8> = conditions.iter().map(|condition| condition.argument).collect();
    if arguments.len() == conditions.len() {
        return vec![Rule { names, action, conditions }];
    }
    conditions
        .into_iter()
        .map(|condition| Rule { names: names.clone(), action, conditions: vec![condition] })
        .collect()
}

/// The flags by name.
pub(crate) fn flags<'a>(names: impl Iterator<Item = &'a str>) -> Result<u32, SeccompError> {
    let mut flags = 0;
    for name in names {
        flags |= match name {
            // All threads get the filter; init has one.
            "SECCOMP_FILTER_FLAG_TSYNC" => 0,
            "SECCOMP_FILTER_FLAG_LOG" => 2,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => 4,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => {
                return Err(SeccompError::Unsupported { what: format!("the flag `{name}`") });
            }
            other => {
                return Err(SeccompError::BadValue { field: "flag", value: other.to_owned() });
            }
        };
    }
    Ok(flags)
}
