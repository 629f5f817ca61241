//! Pure: profiles as the OCI runtime specification has them.

use super::docker_json::{action, architectures, condition, flags, rules_of};
use super::{Architecture, Profile, SeccompError};
use naru_oci::runtime::LinuxSeccomp;

/// The profile of a specification, which is resolved already.
pub fn from_oci(given: &LinuxSeccomp) -> Result<Profile, SeccompError> {
    if given.listener_path().is_some() {
        return Err(SeccompError::Unsupported { what: "a listener (`listenerPath`)".to_owned() });
    }
    let mut rules = Vec::new();
    for rule in given.syscalls().iter().flatten() {
        let action = action(&name_of(&rule.action())?, rule.errno_ret())?;
        let conditions = rule
            .args()
            .iter()
            .flatten()
            .map(|argument| {
                let index = u64::try_from(argument.index()).unwrap_or(u64::MAX);
                let values = (argument.value(), argument.value_two().unwrap_or(0));
                condition(index, values, &name_of(&argument.op())?)
            })
            .collect::<Result<Vec<_>, _>>()?;
        rules.extend(rules_of(rule.names().clone(), action, conditions));
    }
    let names =
        given.architectures().iter().flatten().map(name_of).collect::<Result<Vec<_>, _>>()?;
    let mut architectures = architectures(&names)?;
    // The machine's own is always let in, as others do: a filter that kills everything helps nobody.
    if !architectures.contains(&Architecture::NATIVE) {
        architectures.insert(0, Architecture::NATIVE);
    }
    let names = given.flags().iter().flatten().map(name_of).collect::<Result<Vec<_>, _>>()?;
    Ok(Profile {
        default_action: action(&name_of(&given.default_action())?, given.default_errno_ret())?,
        architectures,
        rules,
        flags: flags(names.iter().map(String::as_str))?,
    })
}

/// The word that a value is written with.
fn name_of(value: &impl serde::Serialize) -> Result<String, SeccompError> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(name) => Ok(name),
        other => Err(SeccompError::BadValue { field: "word", value: other.to_string() }),
    }
}
