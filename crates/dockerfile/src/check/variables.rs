//! Pure: checks of what things are worth: the stages are walked through with their variables, as a build would.

use super::{Context, Report, Rule};
use crate::{
    Command, Dockerfile, Escape, Expander, Files, Given, Globals, Graph, Instruction, Origin,
    Scope, Stage, Statement, exposed, suggest,
};
use naru_oci::{Platform, Reference};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// The `PATH` that every Linux image has.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn check(file: &Dockerfile, context: &Context<'_>, report: &mut Report<'_>) {
    default_bases(file, context.given, report);
    // What cannot be expanded fails the build with more than a check could say.
    let Ok(globals) = Globals::of(file, context.given) else { return };
    let escape = file.directives.escape;
    for stage in &file.stages {
        from(stage, &globals, escape, report);
    }
    let bases: Vec<String> = file
        .stages
        .iter()
        .map(|stage| globals.expand(escape, &stage.base).unwrap_or_default())
        .collect();
    let Ok(graph) = Graph::new(file, &bases) else { return };
    let mut ends = Ends::new(file.stages.len(), &graph);
    for (number, stage) in file.stages.iter().enumerate() {
        let mut place = match graph.base(number) {
            Some(Origin::Stage(parent)) => ends.take(*parent),
            origin => start(origin, number, context),
        };
        let mut walk = Walk { globals: &globals, given: context.given, escape, report };
        for statement in &stage.steps {
            walk.step(statement, &mut place);
            if let Some(patterns) = context.ignore {
                ignored(statement, patterns, walk.report);
            }
        }
        ends.keep(number, place);
    }
}

/// What is known at the end of stages, as long as another starts from it. Thousands of stages with thousands of variables each are not all kept.
struct Ends {
    /// How many stages have yet to start from each, and what they start with.
    places: Vec<(usize, Place)>,
    variables: usize,
}

impl Ends {
    const MAX_VARIABLES: usize = 1 << 20;

    fn new(stages: usize, graph: &Graph) -> Ends {
        let mut places = vec![(0, Place::default()); stages];
        for number in 0..stages {
            if let Some(Origin::Stage(parent)) = graph.base(number)
                && let Some((waiting, _)) = places.get_mut(*parent)
            {
                *waiting += 1;
            }
        }
        Ends { places, variables: 0 }
    }

    fn keep(&mut self, number: usize, place: Place) {
        let Some((waiting, kept)) = self.places.get_mut(number) else { return };
        let more = place.scope.names().count();
        if *waiting > 0 && self.variables.saturating_add(more) <= Self::MAX_VARIABLES {
            self.variables = self.variables.saturating_add(more);
            *kept = place;
        }
    }

    fn take(&mut self, parent: usize) -> Place {
        let Some((waiting, kept)) = self.places.get_mut(parent) else { return Place::default() };
        *waiting = waiting.saturating_sub(1);
        if *waiting > 0 {
            return kept.clone();
        }
        self.variables = self.variables.saturating_sub(kept.scope.names().count());
        std::mem::take(kept)
    }
}

/// What is known at one place of a stage.
#[derive(Debug, Clone, Default)]
struct Place {
    scope: Scope,
    /// Whether everything that is set is known.
    whole: bool,
    has_shell: bool,
    /// Whether a `WORKDIR` stands before, here or in the stage it starts from.
    has_workdir: bool,
}

fn start(origin: Option<&Origin>, number: usize, context: &Context<'_>) -> Place {
    let base = match origin {
        Some(Origin::Scratch) => Some(super::BaseConfig::default()),
        _ => (context.base)(number),
    };
    let known = base.as_ref().map_or(&[] as &[String], |base| &base.environment);
    let words = std::iter::once(DEFAULT_PATH).chain(known.iter().map(String::as_str));
    Place {
        scope: Scope::new(words),
        whole: base.is_some(),
        has_shell: base.is_some_and(|base| base.has_shell),
        has_workdir: false,
    }
}

/// Bases must be names without any `--build-arg` too.
fn default_bases(file: &Dockerfile, given: Given<'_>, report: &mut Report<'_>) {
    let none = BTreeMap::new();
    let Ok(globals) = Globals::of(file, Given { arguments: &none, ..given }) else { return };
    for stage in &file.stages {
        let Ok(base) = globals.expand(file.directives.escape, &stage.base) else { return };
        if base.parse::<Reference>().is_err() {
            let message = format!(
                "Default value for ARG {} results in empty or invalid base image name",
                stage.base
            );
            report.at(&stage.from, Rule::InvalidDefaultArgInFrom, message);
        }
    }
}

fn from(stage: &Stage, globals: &Globals, escape: Escape, report: &mut Report<'_>) {
    let lookup = |name: &str| globals.get(name).map(str::to_owned);
    let expander = Expander::new(escape, &lookup);
    let words = [Some(&stage.base), stage.platform.as_ref()];
    let mut unknown = BTreeSet::new();
    for word in words.into_iter().flatten() {
        if let Ok(expanded) = expander.traced(word) {
            unknown.extend(expanded.unmatched.into_iter().filter(|name| !globals.knows(name)));
        }
    }
    for name in unknown {
        let mut message = format!("FROM argument '{name}' is not declared");
        if let Some(nearest) = suggest::nearest(&name, globals.names()) {
            message.push_str(&format!(" (did you mean {nearest}?)"));
        }
        report.at(&stage.from, Rule::UndefinedArgInFrom, message);
    }
    let Some(written) = &stage.platform else { return };
    let Ok(platform) = expander.traced(written) else { return };
    if platform.matched.is_empty() && platform.unmatched.is_empty() {
        constant_platform(stage, &platform.text, report);
    }
    let only = platform.matched.len() == 1 && platform.unmatched.is_empty();
    if only
        && platform.matched.contains("TARGETPLATFORM")
        && globals.get("TARGETPLATFORM") == Some(platform.text.as_str())
    {
        let message = format!(
            "Setting platform to predefined {written} in FROM is redundant as this is the default behavior"
        );
        report.at(&stage.from, Rule::RedundantTargetPlatform, message);
    }
}

fn constant_platform(stage: &Stage, text: &str, report: &mut Report<'_>) {
    let Ok(platform) = text.parse::<Platform>() else { return };
    let name = stage.name.as_deref().unwrap_or_default();
    // A stage that is named after its platform is meant for it.
    if !name.contains(&platform.os) && !name.contains(&platform.architecture) {
        let message = format!("FROM --platform flag should not use constant value {text:?}");
        report.at(&stage.from, Rule::FromPlatformFlagConstDisallowed, message);
    }
}

struct Walk<'a, 'r> {
    globals: &'a Globals,
    given: Given<'a>,
    escape: Escape,
    report: &'a mut Report<'r>,
}

impl Walk<'_, '_> {
    fn step(&mut self, statement: &Statement<Instruction>, place: &mut Place) {
        let unknown = RefCell::new(BTreeSet::new());
        let scope = &place.scope;
        let lookup = |name: &str| {
            let value = scope.get(name);
            if value.is_none() && !scope.declares(name) {
                unknown.borrow_mut().insert(name.to_owned());
            }
            value
        };
        let expander = Expander::new(self.escape, &lookup);
        if let Instruction::Run(run) = &statement.what {
            for mount in &run.mounts {
                // A mount that cannot be expanded fails the build; here only its variables count.
                drop(mount.resolve(&mut |word| expander.word(word)));
            }
        }
        if let Instruction::Arg(list) = &statement.what {
            let mut after = scope.clone();
            for argument in list {
                self.secret(statement, "ARG", &argument.name);
                let lookup = |name: &str| {
                    let value = after.get(name);
                    if value.is_none() && !after.declares(name) {
                        unknown.borrow_mut().insert(name.to_owned());
                    }
                    value
                };
                let given = self.given.arguments.get(&argument.name).and_then(Option::as_ref);
                if let (None, Some(default)) = (given, &argument.default) {
                    drop(Expander::new(self.escape, &lookup).word(default));
                }
                let one = std::slice::from_ref(argument);
                drop(after.declare(one, (self.globals, self.given), self.escape));
            }
            let names = unknown.into_inner();
            self.undefined(statement, &names, place);
            place.scope = after;
            return;
        }
        let Ok(expanded) = statement.what.expanded(&expander) else { return };
        let names = unknown.into_inner();
        if !matches!(expanded, Instruction::Expose(_)) {
            self.undefined(statement, &names, place);
        }
        self.effect(statement, &expanded, place);
    }

    fn undefined(
        &mut self,
        statement: &Statement<Instruction>,
        names: &BTreeSet<String>,
        place: &Place,
    ) {
        if !place.whole {
            return;
        }
        for name in names {
            let mut message = format!("Usage of undefined variable '${name}'");
            if let Some(nearest) = suggest::nearest(name, place.scope.names()) {
                message.push_str(&format!(" (did you mean ${nearest}?)"));
            }
            self.report.at(statement, Rule::UndefinedVar, message);
        }
    }

    fn effect(
        &mut self,
        statement: &Statement<Instruction>,
        expanded: &Instruction,
        place: &mut Place,
    ) {
        match expanded {
            Instruction::Env(pairs) => {
                for pair in pairs {
                    self.secret(statement, "ENV", &pair.key);
                    place.scope.set(&pair.key, &pair.value);
                }
            }
            Instruction::Shell(_) => place.has_shell = true,
            Instruction::Cmd(Command::Shell(_)) | Instruction::Entrypoint(Command::Shell(_))
                if !place.has_shell =>
            {
                let message = format!(
                    "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                    statement.keyword
                );
                self.report.at(statement, Rule::JsonArgsRecommended, message);
            }
            Instruction::Workdir(path) => {
                if !place.has_workdir && !path.starts_with('/') {
                    let message = format!(
                        "Relative workdir {path:?} can have unexpected results if the base image changes"
                    );
                    self.report.at(statement, Rule::WorkdirRelativePath, message);
                }
                place.has_workdir = true;
            }
            Instruction::Expose(words) => {
                for word in words {
                    let Ok(port) = exposed(word) else { continue };
                    if port.capitals {
                        let message = format!(
                            "Defined protocol '{word}' in EXPOSE instruction should be lowercase"
                        );
                        self.report.at(statement, Rule::ExposeProtoCasing, message);
                    }
                    if port.of_host {
                        let message = format!(
                            "EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
                        );
                        self.report.at(statement, Rule::ExposeInvalidFormat, message);
                    }
                }
            }
            _ => {}
        }
    }

    /// A name one of whose words, parted by `_`, is that of a secret, and none says that it is not.
    fn secret(&mut self, statement: &Statement<Instruction>, keyword: &str, name: &str) {
        const SECRET: [&str; 10] = [
            "apikey",
            "auth",
            "credential",
            "credentials",
            "key",
            "password",
            "pword",
            "passwd",
            "secret",
            "token",
        ];
        const HARMLESS: [&str; 3] = ["public", "file", "version"];
        let lower = name.to_lowercase();
        let has = |list: &[&str]| lower.split('_').any(|word| list.contains(&word));
        if has(&SECRET) && !has(&HARMLESS) {
            let message = format!(
                "Do not use ARG or ENV instructions for sensitive data ({keyword} {name:?})"
            );
            self.report.at(statement, Rule::SecretsUsedInArgOrEnv, message);
        }
    }
}

/// Sources in the context that the ignore file leaves out. With exceptions it is not clear what of a directory is left, so nothing is said.
fn ignored(
    statement: &Statement<Instruction>,
    patterns: &crate::ignore::Patterns,
    report: &mut Report<'_>,
) {
    let (files, word): (&Files, _) = match &statement.what {
        Instruction::Copy(copy) if copy.from.is_none() => (&copy.files, "Copy"),
        Instruction::Add(add) => (&add.files, "Add"),
        _ => return,
    };
    if patterns.has_exceptions() {
        return;
    }
    let remote = |source: &str| source.contains("://") || source.starts_with("git@");
    for source in files.sources.iter().filter(|source| !remote(source)) {
        let path = crate::ignore::clean(source.trim_start_matches('/'));
        let out = match path.as_str() {
            "." => patterns.leaves_all_out(),
            path => patterns.is_ignored(path),
        };
        if out {
            let message =
                format!("Attempting to {word} file {path:?} that is excluded by .dockerignore");
            report.at(statement, Rule::CopyIgnoredFile, message);
        }
    }
}
