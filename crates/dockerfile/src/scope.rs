//! Pure: which variables are known where: before the first `FROM`, and at each instruction of a stage.

use crate::{Argument, Dockerfile, Escape, ExpandError, Expander, Problem, Stage};
use naru_oci::Platform;
use std::collections::{BTreeMap, BTreeSet};

/// Build arguments that every `RUN` gets without an `ARG`. Undeclared, they count neither for the cache nor for the history.
pub const PREDEFINED: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What a build brings along.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The platform of the host that builds.
    pub build: &'a Platform,
    /// The platform that is built for.
    pub target: &'a Platform,
    /// The stage that is asked for.
    pub stage: Option<&'a str>,
    /// `--build-arg`; one without a value is as good as not given.
    pub arguments: &'a BTreeMap<String, Option<String>>,
}

impl Given<'_> {
    fn argument(&self, name: &str) -> Option<&str> {
        self.arguments.get(name)?.as_deref()
    }
}

/// What is known before the first `FROM`: the platforms, and the `ARG`s that stand there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Globals {
    values: BTreeMap<String, String>,
    declared: BTreeSet<String>,
}

/// A `FROM` with its variables replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The image or stage.
    pub name: String,
    /// `--platform`.
    pub platform: Option<Platform>,
}

impl Globals {
    /// What a file's global `ARG`s are worth in this build.
    pub fn of(file: &Dockerfile, given: Given<'_>) -> Result<Globals, Problem> {
        let last = file.stages.last().and_then(|stage| stage.name.as_deref());
        let stage = given.stage.filter(|name| !name.is_empty()).or(last).unwrap_or("default");
        let part = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut globals = Globals::default();
        for (name, value) in [
            ("BUILDPLATFORM", given.build.to_string()),
            ("BUILDOS", given.build.os.clone()),
            ("BUILDOSVERSION", part(&given.build.os_version)),
            ("BUILDARCH", given.build.architecture.clone()),
            ("BUILDVARIANT", part(&given.build.variant)),
            ("TARGETPLATFORM", given.target.to_string()),
            ("TARGETOS", given.target.os.clone()),
            ("TARGETOSVERSION", part(&given.target.os_version)),
            ("TARGETARCH", given.target.architecture.clone()),
            ("TARGETVARIANT", part(&given.target.variant)),
            ("TARGETSTAGE", stage.to_owned()),
        ] {
            let value = given.argument(name).map_or(value, str::to_owned);
            globals.values.insert(name.to_owned(), value);
        }
        for statement in &file.arguments {
            for argument in &statement.what {
                globals.declared.insert(argument.name.clone());
                let value = match (given.argument(&argument.name), &argument.default) {
                    (Some(value), _) => value.to_owned(),
                    (None, Some(default)) => globals
                        .expand(file.directives.escape, default)
                        .map_err(|error| Problem::at(statement, error.to_string()))?,
                    (None, None) => continue,
                };
                globals.values.insert(argument.name.clone(), value);
            }
        }
        Ok(globals)
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The variables that have a value.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Whether an `ARG` before the first `FROM` declares a variable, or it has a value without.
    pub fn knows(&self, name: &str) -> bool {
        self.declared.contains(name) || self.values.contains_key(name)
    }

    /// A word with global variables replaced.
    pub fn expand(&self, escape: Escape, word: &str) -> Result<String, ExpandError> {
        let lookup = |name: &str| self.values.get(name).cloned();
        Expander::new(escape, &lookup).word(word)
    }

    /// The base of a stage.
    pub fn base(&self, escape: Escape, stage: &Stage) -> Result<Base, Problem> {
        let problem = |message: String| Problem::at(&stage.from, message);
        let name = self.expand(escape, &stage.base).map_err(|error| problem(error.to_string()))?;
        if name.is_empty() {
            return Err(problem(format!("base name ({}) should not be blank", stage.base)));
        }
        let platform = match &stage.platform {
            None => None,
            Some(written) => {
                let lookup = |name: &str| self.values.get(name).cloned();
                let expanded = Expander::new(escape, &lookup).traced(written).map_err(|error| {
                    problem(format!("failed to process arguments for platform {written}: {error}"))
                })?;
                let nearest = || {
                    let mut unknown = expanded.unmatched.iter();
                    unknown.find_map(|name| crate::suggest::nearest(name, self.names()))
                };
                let wrong = |message: String| Problem {
                    suggestion: nearest().map(str::to_owned),
                    ..problem(message)
                };
                if expanded.text.is_empty() {
                    return Err(wrong(format!("empty platform value from expression {written}")));
                }
                let platform = expanded.text.parse().map_err(|error| {
                    wrong(format!("failed to parse platform {written}: {error}"))
                })?;
                Some(platform)
            }
        };
        Ok(Base { name, platform })
    }
}

/// The variables of one place in a stage: the environment of the image so far, and the `ARG`s so far. The environment always wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    environment: Vec<(String, String)>,
    arguments: Vec<(String, Option<String>)>,
}

impl Scope {
    /// The scope at the start of a stage whose base has this environment (`NAME=value`). A stage that starts from another starts with a clone
    /// of that one's scope instead: both environment and arguments are inherited.
    pub fn new<'a>(environment: impl IntoIterator<Item = &'a str>) -> Scope {
        let mut scope = Scope::default();
        for pair in environment {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            scope.set(name, value);
        }
        scope
    }

    /// `ENV`.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.environment.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.environment.push((name.to_owned(), value.to_owned())),
        }
    }

    /// `ARG`: the variables with what they are worth here. What the build was given comes first, then the default, then the global of that name.
    pub fn declare(
        &mut self,
        arguments: &[Argument],
        (globals, given): (&Globals, Given<'_>),
        escape: Escape,
    ) -> Result<Vec<(String, Option<String>)>, ExpandError> {
        let mut declared = Vec::new();
        for argument in arguments {
            let name = &argument.name;
            let value = match (given.argument(name), &argument.default) {
                (Some(value), _) => Some(value.to_owned()),
                (None, Some(default)) => {
                    let lookup = |name: &str| self.get(name);
                    Some(Expander::new(escape, &lookup).word(default)?)
                }
                (None, None) => globals.get(name).map(str::to_owned),
            };
            match self.arguments.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => old.clone_from(&value),
                None => self.arguments.push((name.clone(), value.clone())),
            }
            declared.push((name.clone(), value));
        }
        Ok(declared)
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<String> {
        let set = self.environment.iter().find(|(known, _)| known == name);
        set.map(|(_, value)| value.clone()).or_else(|| {
            let declared = self.arguments.iter().find(|(known, _)| known == name);
            declared.and_then(|(_, value)| value.clone())
        })
    }

    /// Whether an `ARG` declares a variable, with or without a value.
    pub fn declares(&self, name: &str) -> bool {
        self.arguments.iter().any(|(known, _)| known == name)
    }

    /// The variables that have a value.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let declared = self.arguments.iter().filter(|(_, value)| value.is_some());
        self.environment
            .iter()
            .map(|(name, _)| name.as_str())
            .chain(declared.map(|(name, _)| name.as_str()))
    }

    /// The environment, in the order in which it was set.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// All arguments in the order of their declaration, with what a `RUN` sees in their place: its history tells of them.
    pub fn declared(&self) -> impl Iterator<Item = (&str, String)> {
        let names = self.arguments.iter().map(|(name, _)| name.as_str());
        names.map(|name| (name, self.get(name).unwrap_or_default()))
    }

    /// The arguments that a `RUN` gets beside the environment, in the order of their declaration. They are part of its cache key.
    pub fn arguments(&self) -> impl Iterator<Item = (&str, &str)> {
        self.arguments.iter().filter_map(|(name, value)| {
            let hidden = self.environment.iter().any(|(known, _)| known == name);
            Some((name.as_str(), value.as_deref()?)).filter(|_| !hidden)
        })
    }

    /// The predefined arguments that a `RUN` gets without a declaration. They are part of neither its cache key nor its history.
    pub fn predefined<'a>(
        &'a self,
        given: Given<'a>,
    ) -> impl Iterator<Item = (&'static str, &'a str)> {
        PREDEFINED.into_iter().filter_map(move |name| {
            let known =
                self.declares(name) || self.environment.iter().any(|(known, _)| known == name);
            Some((name, given.arguments.get(name)?.as_deref()?)).filter(|_| !known)
        })
    }
}

#[cfg(test)]
mod tests;
