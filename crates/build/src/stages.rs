//! Pure: which stages a build needs, and on which others each of them waits.

use naru_dockerfile::{Dockerfile, Instruction, Stage};
use std::collections::BTreeSet;

/// What a name after `FROM`, `--from` or `from=` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A stage of the same file.
    Stage(usize),
    /// Something else: `scratch`, a context, an image.
    Other(String),
}

/// What `COPY --from` and `from=` mean in a stage.
pub(crate) fn origin(file: &Dockerfile, name: &str) -> Origin {
    if let Some(number) = by_name(file, name, file.stages.len()) {
        return Origin::Stage(number);
    }
    match name.parse::<usize>() {
        Ok(number) if number < file.stages.len() => Origin::Stage(number),
        Ok(_) | Err(_) => Origin::Other(name.to_owned()),
    }
}

/// What the base of a stage means; `base` is expanded. Only stages before it are looked at.
pub(crate) fn base(file: &Dockerfile, stage: usize, base: &str) -> Origin {
    match by_name(file, base, stage) {
        Some(number) => Origin::Stage(number),
        None => Origin::Other(base.to_owned()),
    }
}

/// The last stage of this name before `limit`.
fn by_name(file: &Dockerfile, name: &str, limit: usize) -> Option<usize> {
    let name = name.to_lowercase();
    let mut stages = file.stages.iter().take(limit).enumerate();
    stages.rfind(|(_, stage)| stage.name.as_deref() == Some(name.as_str())).map(|(at, _)| at)
}

/// The stage that is asked for.
pub(crate) fn target(file: &Dockerfile, asked: Option<&str>) -> Result<usize, String> {
    let last = file.stages.len().checked_sub(1).ok_or("dockerfile contains no stages to build")?;
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return Ok(last) };
    match origin(file, asked) {
        Origin::Stage(number) => Ok(number),
        Origin::Other(_) => Err(format!("target stage \"{asked}\" could not be found")),
    }
}

/// The stages that a step of a stage needs.
pub(crate) fn of_step(file: &Dockerfile, instruction: &Instruction) -> Vec<usize> {
    let mut names = Vec::new();
    match instruction {
        Instruction::Copy(copy) => names.extend(copy.from.as_deref()),
        Instruction::Run(run) => {
            names.extend(run.mounts.iter().filter_map(|mount| mount.from.as_deref()));
        }
        Instruction::Env(_)
        | Instruction::Arg(_)
        | Instruction::Label(_)
        | Instruction::Add(_)
        | Instruction::Cmd(_)
        | Instruction::Entrypoint(_)
        | Instruction::Shell(_)
        | Instruction::Workdir(_)
        | Instruction::User(_)
        | Instruction::Expose(_)
        | Instruction::Volume(_)
        | Instruction::StopSignal(_)
        | Instruction::Healthcheck(_)
        | Instruction::Onbuild(_)
        | Instruction::Maintainer(_) => {}
    }
    names
        .into_iter()
        .filter_map(|name| match origin(file, name) {
            Origin::Stage(number) => Some(number),
            Origin::Other(_) => None,
        })
        .collect()
}

/// All stages that a target needs, itself too. `bases` are the expanded bases by stage. Stages that need themselves are
/// refused.
pub(crate) fn needed(
    file: &Dockerfile,
    bases: &[String],
    target: usize,
) -> Result<BTreeSet<usize>, String> {
    let mut done = BTreeSet::new();
    let mut on_the_way = Vec::new();
    // Each entry: a stage, and what of its needs is left to look at.
    let mut open = vec![(target, needs(file, bases, target))];
    on_the_way.push(target);
    while let Some((stage, left)) = open.last_mut() {
        let stage = *stage;
        match left.pop() {
            None => {
                open.pop();
                on_the_way.pop();
                done.insert(stage);
            }
            Some(next) if done.contains(&next) => {}
            Some(next) if on_the_way.contains(&next) => {
                let name =
                    file.stages.get(next).map_or_else(String::new, |stage| label(stage, next));
                return Err(format!("circular dependency detected on stage: {name}"));
            }
            Some(next) => {
                on_the_way.push(next);
                open.push((next, needs(file, bases, next)));
            }
        }
    }
    Ok(done)
}

fn needs(file: &Dockerfile, bases: &[String], stage: usize) -> Vec<usize> {
    let mut list = Vec::new();
    if let Some(Origin::Stage(number)) = bases.get(stage).map(|text| base(file, stage, text)) {
        list.push(number);
    }
    if let Some(found) = file.stages.get(stage) {
        list.extend(found.steps.iter().flat_map(|step| of_step(file, &step.what)));
    }
    list
}

/// How a stage is called in progress and messages.
pub(crate) fn label(stage: &Stage, number: usize) -> String {
    stage.name.clone().unwrap_or_else(|| format!("stage-{number}"))
}
