//! Pure: words of a command line to flags and arguments, with the rules (and the wording) that docker's users know.
//!
//! The grammar is pflag's: `--flag`, `--flag=value`, `--flag value`, `-f`, `-fvalue`, `-f=value`, `-f value`, groups of
//! short switches, `--` as the end of flags, and switches that take `=true` or `=false`. A table of [`Flag`]s says what a
//! command takes; the table is all there is to build, so starting up costs nothing.

mod help;
mod suggest;

pub use help::{command_help, group_help, usage_line};
pub use suggest::nearest;

use crate::opts::OptError;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing (or `=true`, `=false`); off unless given.
    Switch,
    /// Nothing (or `=true`, `=false`); on unless given.
    SwitchOn,
    /// A value; the last one counts. The word is the placeholder in the help.
    Value(&'static str),
    /// A value; all of them count.
    List(&'static str),
}

/// Whether a flag can be used yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It works.
    Yes,
    /// It works, and stands for nothing on Linux or here; it is taken and changes nothing, as in docker.
    NoEffect,
    /// It is known and refused; the text says why or what to do instead.
    Refused(&'static str),
}

/// One flag of a command.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Without the dashes.
    pub long: &'static str,
    /// The one-letter form.
    pub short: Option<char>,
    /// What it takes.
    pub takes: Takes,
    /// One sentence for the help.
    pub help: &'static str,
    /// Whether it can be used.
    pub support: Support,
}

/// A switch that is off by default.
pub const fn switch(long: &'static str, help: &'static str) -> Flag {
    Flag { long, short: None, takes: Takes::Switch, help, support: Support::Yes }
}

/// A switch that is on by default.
pub const fn switch_on(long: &'static str, help: &'static str) -> Flag {
    Flag { long, short: None, takes: Takes::SwitchOn, help, support: Support::Yes }
}

/// A flag with one value.
pub const fn value(long: &'static str, kind: &'static str, help: &'static str) -> Flag {
    Flag { long, short: None, takes: Takes::Value(kind), help, support: Support::Yes }
}

/// A flag that may be given again and again.
pub const fn list(long: &'static str, kind: &'static str, help: &'static str) -> Flag {
    Flag { long, short: None, takes: Takes::List(kind), help, support: Support::Yes }
}

impl Flag {
    /// The same flag with a one-letter form.
    #[must_use]
    pub const fn short(mut self, letter: char) -> Flag {
        self.short = Some(letter);
        self
    }

    /// The same flag, known but refused.
    #[must_use]
    pub const fn refused(mut self, why: &'static str) -> Flag {
        self.support = Support::Refused(why);
        self
    }

    /// The same flag, taken but without effect.
    #[must_use]
    pub const fn no_effect(mut self) -> Flag {
        self.support = Support::NoEffect;
        self
    }

    /// The flag as messages show it (`-m, --memory`).
    fn shown(&self) -> String {
        match self.short {
            Some(letter) => format!("-{letter}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }

    fn is_switch(&self) -> bool {
        matches!(self.takes, Takes::Switch | Takes::SwitchOn)
    }
}

/// Why a command line was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// Not a flag of this command.
    #[error("unknown flag: --{name}")]
    Unknown {
        /// Without the dashes.
        name: String,
        /// What was probably meant.
        near: Option<&'static str>,
    },
    /// Not a one-letter flag of this command.
    #[error("unknown shorthand flag: '{letter}' in -{group}")]
    UnknownShort {
        /// The letter.
        letter: char,
        /// The word it stood in.
        group: String,
    },
    /// The value is missing.
    #[error("flag needs an argument: {shown}")]
    NeedsValue {
        /// As pflag shows it.
        shown: String,
    },
    /// Not a flag at all.
    #[error("bad flag syntax: {word}")]
    Syntax {
        /// The word.
        word: String,
    },
    /// The value is not one that the flag takes.
    #[error("invalid argument {value:?} for \"{flag}\" flag: {reason}")]
    Invalid {
        /// As messages show it.
        flag: String,
        /// What was given.
        value: String,
        /// Why not.
        reason: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Known, and not supported.
    #[error("flag `--{name}` is not supported")]
    Refused {
        /// Without the dashes.
        name: &'static str,
        /// What to do instead.
        why: &'static str,
    },
    /// `--help` was asked for.
    #[error("help requested")]
    Help,
}

impl FlagError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            FlagError::Unknown { near: Some(near), .. } => {
                Some(format!("did you mean `--{near}`?"))
            }
            FlagError::Refused { why, .. } => Some((*why).to_owned()),
            FlagError::Invalid { hint, .. } => hint.clone(),
            _ => None,
        }
    }
}

/// What a command line said.
#[derive(Debug, Default, Clone)]
pub struct Flags {
    given: Vec<(Flag, String)>,
    table: &'static [&'static [Flag]],
    args: Vec<String>,
}

/// Whether flags may stand after arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Flags anywhere.
    Mixed,
    /// Everything after the first argument is an argument (`run`, `exec`).
    FlagsFirst,
}

/// Reads a command line against a table of flags.
pub fn parse(
    table: &'static [&'static [Flag]],
    order: Order,
    words: &[String],
) -> Result<Flags, FlagError> {
    let mut flags = Flags { given: Vec::new(), table, args: Vec::new() };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            flags.args.extend(rest.by_ref().cloned());
        } else if let Some(long) = word.strip_prefix("--") {
            parse_long(&mut flags, word, long, &mut rest)?;
        } else if let Some(group) = word.strip_prefix('-').filter(|group| !group.is_empty()) {
            parse_short(&mut flags, group, &mut rest)?;
        } else {
            flags.args.push(word.clone());
            if order == Order::FlagsFirst {
                flags.args.extend(rest.by_ref().cloned());
            }
        }
    }
    Ok(flags)
}

fn parse_long(
    flags: &mut Flags,
    word: &str,
    long: &str,
    rest: &mut std::slice::Iter<'_, String>,
) -> Result<(), FlagError> {
    let (name, value) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (long, None),
    };
    if name.is_empty() || name.starts_with('-') {
        return Err(FlagError::Syntax { word: word.to_owned() });
    }
    let Some(flag) = flags.find(name) else {
        if name == "help" {
            return Err(FlagError::Help);
        }
        let near = nearest(name, flags.all().map(|flag| flag.long));
        return Err(FlagError::Unknown { name: name.to_owned(), near });
    };
    let value = match value {
        Some(value) => value.to_owned(),
        None if flag.is_switch() => "true".to_owned(),
        None => match rest.next() {
            Some(next) => next.clone(),
            None => return Err(FlagError::NeedsValue { shown: format!("--{name}") }),
        },
    };
    flags.give(flag, value)
}

fn parse_short(
    flags: &mut Flags,
    group: &str,
    rest: &mut std::slice::Iter<'_, String>,
) -> Result<(), FlagError> {
    let mut letters = group.chars();
    while let Some(letter) = letters.next() {
        let Some(flag) = flags.all().copied().find(|flag| flag.short == Some(letter)) else {
            if letter == 'h' {
                return Err(FlagError::Help);
            }
            return Err(FlagError::UnknownShort { letter, group: group.to_owned() });
        };
        let tail = letters.as_str();
        let value = if let Some(value) = tail.strip_prefix('=') {
            letters = "".chars();
            value.to_owned()
        } else if flag.is_switch() {
            "true".to_owned()
        } else if !tail.is_empty() {
            letters = "".chars();
            tail.to_owned()
        } else if let Some(next) = rest.next() {
            next.clone()
        } else {
            return Err(FlagError::NeedsValue { shown: format!("'{letter}' in -{group}") });
        };
        flags.give(flag, value)?;
    }
    Ok(())
}

impl Flags {
    fn all(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.table.iter().flat_map(|part| part.iter())
    }

    fn find(&self, long: &str) -> Option<Flag> {
        self.all().find(|flag| flag.long == long).copied()
    }

    fn give(&mut self, flag: Flag, value: String) -> Result<(), FlagError> {
        if flag.is_switch() && go_bool(&value).is_none() {
            let reason = format!("strconv.ParseBool: parsing {value:?}: invalid syntax");
            return Err(FlagError::Invalid { flag: flag.shown(), value, reason, hint: None });
        }
        if let Support::Refused(why) = flag.support {
            let harmless = flag.is_switch() && go_bool(&value) == Some(false);
            if !harmless {
                return Err(FlagError::Refused { name: flag.long, why });
            }
        }
        self.given.push((flag, value));
        Ok(())
    }

    /// The arguments, without the flags.
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// The n-th argument, or nothing.
    pub fn arg(&self, n: usize) -> &str {
        self.args.get(n).map_or("", String::as_str)
    }

    /// Whether a flag was given at all.
    pub fn given(&self, long: &str) -> bool {
        self.given.iter().any(|(flag, _)| flag.long == long)
    }

    /// Whether a switch is on.
    pub fn switch(&self, long: &str) -> bool {
        match self.text(long) {
            Some(value) => go_bool(value).unwrap_or(false),
            None => self.find(long).is_some_and(|flag| flag.takes == Takes::SwitchOn),
        }
    }

    /// The last value of a flag.
    pub fn text(&self, long: &str) -> Option<&str> {
        self.given.iter().rev().find(|(flag, _)| flag.long == long).map(|(_, value)| value.as_str())
    }

    /// Every value of a flag, in order.
    pub fn list<'a>(&'a self, long: &'a str) -> impl Iterator<Item = &'a str> {
        self.given
            .iter()
            .filter(move |(flag, _)| flag.long == long)
            .map(|(_, value)| value.as_str())
    }

    /// The last value of a flag, parsed.
    pub fn parsed<T>(
        &self,
        long: &str,
        parser: impl Fn(&str) -> Result<T, OptError>,
    ) -> Result<Option<T>, FlagError> {
        match self.given.iter().rev().find(|(flag, _)| flag.long == long) {
            Some((flag, value)) => {
                parser(value).map(Some).map_err(|error| invalid(flag, value, error))
            }
            None => Ok(None),
        }
    }

    /// Every value of a flag, parsed.
    pub fn parsed_list<T>(
        &self,
        long: &str,
        parser: impl Fn(&str) -> Result<T, OptError>,
    ) -> Result<Vec<T>, FlagError> {
        self.parsed_among(&[long], parser)
    }

    /// Every value of a flag that has several names, parsed, in the order of the command line.
    pub fn parsed_among<T>(
        &self,
        names: &[&str],
        parser: impl Fn(&str) -> Result<T, OptError>,
    ) -> Result<Vec<T>, FlagError> {
        self.given
            .iter()
            .filter(|(flag, _)| names.contains(&flag.long))
            .map(|(flag, value)| parser(value).map_err(|error| invalid(flag, value, error)))
            .collect()
    }

    /// A whole number.
    pub fn number(&self, long: &str) -> Result<Option<i64>, FlagError> {
        self.parsed(long, go_int)
    }
}

fn invalid(flag: &Flag, value: &str, error: OptError) -> FlagError {
    FlagError::Invalid {
        flag: flag.shown(),
        value: value.to_owned(),
        reason: error.message,
        hint: error.hint,
    }
}

/// A number as Go's `strconv.ParseInt` reads it.
pub fn go_int(text: &str) -> Result<i64, OptError> {
    use std::num::IntErrorKind;
    text.parse().map_err(|error: std::num::ParseIntError| {
        let reason = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        OptError::new(format!("strconv.ParseInt: parsing {text:?}: {reason}"))
    })
}

/// A truth value as Go's `strconv.ParseBool` reads it.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
