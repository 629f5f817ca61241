//! Pure: which stages a target needs, and what the names after `FROM`, `--from` and `from=` mean.
//!
//! A name means the last stage of that name before the one that uses it, whatever its case; a number means the stage of that number. Everything
//! else is an image or a named context. What refers to itself or to a later stage is refused.

use crate::{Dockerfile, Instruction, Problem, Problems, Statement, suggest};
use std::collections::{BTreeMap, BTreeSet};

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing at all: `scratch`.
    Scratch,
    /// A stage of the file, counted from 0.
    Stage(usize),
    /// An image or a named context.
    Other(String),
}

/// The stages of a file and what they need of each other.
#[derive(Debug, Clone)]
pub struct Graph {
    names: BTreeMap<String, Vec<usize>>,
    stages: Vec<Node>,
    /// How many stages there are, also while not all of them are in `stages`.
    total: usize,
}

#[derive(Debug, Clone)]
struct Node {
    base: Origin,
    /// The stages it needs, all before it.
    needs: BTreeSet<usize>,
    /// The first of its statements that refers to itself or to a later stage.
    ahead: Option<Problem>,
}

/// What a reference is that looks ahead.
enum Ahead {
    Number(usize),
    Unknown(String),
}

impl Graph {
    /// The graph of a file; `bases` are the bases of its stages in order, expanded.
    pub fn new(file: &Dockerfile, bases: &[String]) -> Result<Graph, Problems> {
        let mut names: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, stage) in file.stages.iter().enumerate() {
            if let Some(name) = &stage.name {
                names.entry(name.clone()).or_default().push(number);
            }
        }
        let mut graph = Graph { names, stages: Vec::new(), total: file.stages.len() };
        let mut later: Vec<(usize, usize, Problem)> = Vec::new();
        let mut problems = Vec::new();
        for (number, (stage, base)) in file.stages.iter().zip(bases).enumerate() {
            let base = graph.base_of(number, base);
            let mut node = Node { base, needs: BTreeSet::new(), ahead: None };
            let mut inherited: &[Statement<Instruction>] = &[];
            if let Origin::Stage(parent) = node.base {
                node.needs.insert(parent);
                inherited = file.stages.get(parent).map_or(&[], |stage| stage.steps.as_slice());
            }
            // The triggers of a base that is a stage are instructions of this one.
            let triggers = inherited.iter().filter_map(|statement| match &statement.what {
                Instruction::Onbuild(onbuild) => Some(&*onbuild.trigger),
                _ => None,
            });
            for statement in triggers.chain(&stage.steps) {
                for name in references(&statement.what) {
                    match graph.reference(number, name) {
                        Ok(Origin::Stage(source)) => {
                            node.needs.insert(source);
                        }
                        Ok(Origin::Scratch | Origin::Other(_)) => {}
                        Err(Ahead::Unknown(message)) => {
                            problems.push(Problem::at(statement, message));
                        }
                        Err(Ahead::Number(source)) => {
                            let problem = Problem::at(
                                statement,
                                format!(
                                    "cannot copy from stage {name:?}, it needs to be defined before current stage {:?}",
                                    label(file, number)
                                ),
                            );
                            later.push((number, source, problem.clone()));
                            node.ahead.get_or_insert(problem);
                        }
                    }
                }
            }
            graph.stages.push(node);
        }
        // Only a reference to itself or ahead can close a circle.
        for (stage, source, problem) in later {
            if graph.all_needs(source).contains(&stage) {
                let message =
                    format!("circular dependency detected on stage: {}", label(file, stage));
                problems.push(Problem { message, ..problem });
            }
        }
        problems.sort_by_key(|problem| problem.span);
        match Problems::of(problems) {
            Some(problems) => Err(problems),
            None => Ok(graph),
        }
    }

    /// Says that these stages come from elsewhere: they need nothing, and nobody waits for them to be built.
    pub fn replace(&mut self, stages: &BTreeSet<usize>) {
        for (number, node) in self.stages.iter_mut().enumerate() {
            node.needs.retain(|needed| !stages.contains(needed));
            if stages.contains(&number) {
                node.needs.clear();
                node.ahead = None;
            }
        }
    }

    /// What a stage starts from.
    pub fn base(&self, stage: usize) -> Option<&Origin> {
        self.stages.get(stage).map(|node| &node.base)
    }

    /// What `--from` or `from=` means in a stage; `None` for a stage that is not there before it.
    pub fn source(&self, stage: usize, name: &str) -> Option<Origin> {
        self.reference(stage, name).ok()
    }

    /// The stage that is asked for by name or number; the last when none is.
    pub fn target(&self, asked: Option<&str>) -> Result<usize, String> {
        let last = self.stages.len().saturating_sub(1);
        let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return Ok(last) };
        if let Some(number) = self.named(asked, self.stages.len()) {
            return Ok(number);
        }
        if let Some(number) = asked.parse().ok().filter(|number| *number <= last) {
            return Ok(number);
        }
        let nearest =
            suggest::nearest(&asked.to_lowercase(), self.names.keys().map(String::as_str));
        let mut message = format!("target stage {asked:?} could not be found");
        if let Some(name) = nearest {
            message.push_str(&format!(" (did you mean {name}?)"));
        }
        Err(message)
    }

    /// The stages that a target needs, itself included, in the order of the file. Stages that are not needed may look ahead; these may not.
    pub fn needed(&self, target: usize) -> Result<Vec<usize>, Problems> {
        let needed = self.all_needs(target);
        let ahead: Vec<Problem> =
            needed.iter().filter_map(|stage| self.stages.get(*stage)?.ahead.clone()).collect();
        match Problems::of(ahead) {
            Some(problems) => Err(problems),
            None => Ok(needed.into_iter().collect()),
        }
    }

    /// The stages that one stage needs directly.
    pub fn needs(&self, stage: usize) -> impl Iterator<Item = usize> {
        self.stages.get(stage).into_iter().flat_map(|node| node.needs.iter().copied())
    }

    fn all_needs(&self, target: usize) -> BTreeSet<usize> {
        let mut needed = BTreeSet::from([target]);
        let mut open = vec![target];
        while let Some(stage) = open.pop() {
            for next in self.needs(stage) {
                if needed.insert(next) {
                    open.push(next);
                }
            }
        }
        needed
    }

    /// The last stage of a name before `limit`.
    fn named(&self, name: &str, limit: usize) -> Option<usize> {
        let all = self.names.get(name.to_lowercase().as_str())?;
        let before = all.partition_point(|number| *number < limit);
        all.get(before.checked_sub(1)?).copied()
    }

    fn base_of(&self, stage: usize, base: &str) -> Origin {
        match self.named(base, stage) {
            Some(number) => Origin::Stage(number),
            None if base == "scratch" => Origin::Scratch,
            None => Origin::Other(base.to_owned()),
        }
    }

    fn reference(&self, stage: usize, name: &str) -> Result<Origin, Ahead> {
        if let Some(number) = self.named(name, stage) {
            return Ok(Origin::Stage(number));
        }
        if let Some(later) = self.names.get(name.to_lowercase().as_str()) {
            return Err(Ahead::Number(later.first().copied().unwrap_or(stage)));
        }
        match name.parse::<i64>().map(usize::try_from) {
            Ok(Ok(number)) if number < stage => Ok(Origin::Stage(number)),
            Ok(Ok(number)) if number < self.total => Err(Ahead::Number(number)),
            Ok(_) => Err(Ahead::Unknown(format!("invalid stage index {name}"))),
            Err(_) if name == "scratch" => Ok(Origin::Scratch),
            Err(_) => Ok(Origin::Other(name.to_owned())),
        }
    }
}

/// How messages call a stage.
fn label(file: &Dockerfile, stage: usize) -> String {
    let named = file.stages.get(stage).and_then(|stage| stage.name.clone());
    named.unwrap_or_else(|| format!("stage-{stage}"))
}

/// The names that an instruction takes files from.
fn references(instruction: &Instruction) -> Vec<&str> {
    match instruction {
        Instruction::Copy(copy) => copy.from.as_deref().into_iter().collect(),
        Instruction::Run(run) => {
            run.mounts.iter().filter_map(|mount| mount.from.as_deref()).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
