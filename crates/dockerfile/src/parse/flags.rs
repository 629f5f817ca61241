//! Pure: `--name=value` in front of arguments.

use super::Refused;
use crate::suggest;
use std::collections::BTreeMap;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// `true`, `false`, or nothing for `true`.
    Switch,
    /// A value, once.
    Text,
    /// A value, any number of times.
    Texts,
}

/// The flags of one statement.
#[derive(Debug, Default)]
pub(super) struct Flags {
    given: BTreeMap<String, Vec<String>>,
}

/// Reads flags; those not in `known` are refused with the nearest that is.
pub(super) fn read(flags: &[String], known: &[(&str, Takes)]) -> Result<Flags, Refused> {
    let mut given: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for flag in flags {
        let (dashed, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag.as_str(), None),
        };
        let name = dashed.strip_prefix("--").unwrap_or(dashed);
        let Some((_, takes)) = known.iter().find(|(known, _)| *known == name) else {
            let nearest = suggest::nearest(name, known.iter().map(|(name, _)| *name));
            return Err(Refused::with(format!("unknown flag: {dashed}"), nearest));
        };
        let values = given.entry(name.to_owned()).or_default();
        if !values.is_empty() && *takes != Takes::Texts {
            return Err(format!("duplicate flag specified: {dashed}").into());
        }
        let missing = || Refused::from(format!("missing a value on flag: {dashed}"));
        values.push(match takes {
            Takes::Switch => match value.map(str::to_ascii_lowercase).as_deref() {
                None | Some("true") => "true".to_owned(),
                Some("false") => "false".to_owned(),
                Some("") => return Err(missing()),
                Some(_) => {
                    return Err(format!(
                        "expecting boolean value for flag {dashed}, not: {}",
                        value.unwrap_or_default()
                    )
                    .into());
                }
            },
            Takes::Text | Takes::Texts => value.ok_or_else(missing)?.to_owned(),
        });
    }
    Ok(Flags { given })
}

impl Flags {
    /// The value of a flag; an empty one is as good as none.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.texts(name).into_iter().next().filter(|value| !value.is_empty())
    }

    /// All values of a flag.
    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        self.given.remove(name).unwrap_or_default()
    }

    /// A switch, when it is given.
    pub(super) fn switch(&mut self, name: &str) -> Option<bool> {
        self.texts(name).first().map(|value| value == "true")
    }
}
