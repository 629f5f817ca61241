//! Pure: what a build of a file for one platform is going to do: which stages, from which bases, in how many steps.

use naru_dockerfile::{
    Base, Dockerfile, Given, Globals, Graph, Instruction, PREDEFINED, Problem, Problems, Stage,
};
use naru_errdefs::Fault;
use naru_oci::Platform;
use std::collections::{BTreeMap, BTreeSet};

/// What is going to be done.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What is known before the first `FROM`.
    pub(crate) globals: Globals,
    /// The bases of all stages, expanded.
    pub(crate) bases: Vec<Base>,
    /// What the stages need of each other.
    pub(crate) graph: Graph,
    /// The stage that is asked for.
    pub(crate) target: usize,
    /// The stages that it needs, itself too, in the order of the file.
    pub(crate) needed: Vec<usize>,
    /// How many steps there are, for docker's classic stream.
    pub(crate) steps: usize,
    /// The number of the first step of each stage that is needed.
    pub(crate) first_step: BTreeMap<usize, usize>,
}

impl Plan {
    /// The platform that a stage's `FROM` asks for.
    pub(crate) fn platform(&self, stage: usize) -> Option<&Platform> {
        self.bases.get(stage)?.platform.as_ref()
    }
}

/// Plans the build of a file that messages call `name`. Stages whose names `replaced` knows come from elsewhere.
pub(crate) fn plan(
    file: &Dockerfile,
    name: &str,
    given: Given<'_>,
    replaced: &dyn Fn(&str) -> bool,
) -> Result<Plan, Fault> {
    let escape = file.directives.escape;
    let globals = Globals::of(file, given).map_err(|problem| refused(name, &problem))?;
    let bases: Result<Vec<Base>, Problem> =
        file.stages.iter().map(|stage| globals.base(escape, stage)).collect();
    let bases = bases.map_err(|problem| {
        refused(name, &problem).with_hint(
            "give its variables a value: `--build-arg NAME=value`, or a default in an `ARG` before the first `FROM`",
        )
    })?;
    let names: Vec<String> = bases.iter().map(|base| base.name.clone()).collect();
    let circular = |problems: Problems| refused(name, problems.first());
    let mut graph = Graph::new(file, &names).map_err(circular)?;
    let named = |(_, stage): &(usize, &Stage)| stage.name.as_deref().is_some_and(replaced);
    let elsewhere: BTreeSet<usize> =
        file.stages.iter().enumerate().filter(named).map(|(number, _)| number).collect();
    graph.replace(&elsewhere);
    let target = graph.target(given.stage).map_err(Fault::invalid)?;
    let needed = graph.needed(target).map_err(circular)?;
    let mut first_step = BTreeMap::new();
    let mut steps = 0;
    for number in &needed {
        first_step.insert(*number, steps + 1);
        steps += 1 + file.stages.get(*number).map_or(0, |stage| stage.steps.len());
    }
    Ok(Plan { globals, bases, graph, target, needed, steps, first_step })
}

/// A problem as a failure, with its place in the file.
fn refused(name: &str, problem: &Problem) -> Fault {
    Fault::invalid(format!("{name}:{}: {}", problem.span.start, problem.sentence()))
}

/// How a stage is called in progress and messages.
pub(crate) fn label(stage: &Stage, number: usize) -> String {
    stage.name.clone().unwrap_or_else(|| format!("stage-{number}"))
}

/// The build arguments that were given, and that neither the file nor the language knows.
pub(crate) fn not_consumed<'a>(file: &Dockerfile, given: Given<'a>) -> Vec<&'a str> {
    let before = file.arguments.iter().flat_map(|statement| &statement.what);
    let inside = file.stages.iter().flat_map(|stage| &stage.steps).filter_map(|step| {
        let Instruction::Arg(list) = &step.what else { return None };
        Some(list)
    });
    let declared: BTreeSet<&str> =
        before.chain(inside.flatten()).map(|argument| argument.name.as_str()).collect();
    let platforms = Globals::of(&Dockerfile { arguments: Vec::new(), ..file.clone() }, given);
    let platforms = platforms.unwrap_or_default();
    let names = given.arguments.keys().map(String::as_str);
    names
        .filter(|name| {
            !declared.contains(name)
                && !platforms.knows(name)
                && !PREDEFINED.contains(name)
                && !name.starts_with("BUILDKIT_")
                && *name != "SOURCE_DATE_EPOCH"
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(text: &str, target: Option<&str>) -> Result<Plan, Fault> {
        let file = naru_dockerfile::parse(text.as_bytes()).unwrap();
        let host: Platform = "linux/amd64".parse().unwrap();
        let arguments = BTreeMap::from([("GIVEN".to_owned(), Some("busybox".to_owned()))]);
        let given = Given { build: &host, target: &host, stage: target, arguments: &arguments };
        plan(&file, "Dockerfile", given, &|name| name == "elsewhere")
    }

    #[test]
    fn steps_are_counted_over_the_stages_that_are_needed() {
        let text = "ARG GIVEN\nFROM $GIVEN AS one\nRUN x\nFROM y AS two\nRUN y\nFROM one\nENV a=b\nCMD c\n";
        let plan = planned(text, None).unwrap();
        assert_eq!((plan.target, plan.needed.as_slice(), plan.steps), (2, [0, 2].as_slice(), 5));
        assert_eq!(plan.first_step, BTreeMap::from([(0, 1), (2, 3)]));
        assert_eq!(plan.bases.first().map(|base| base.name.as_str()), Some("busybox"));
        assert_eq!(planned(text, Some("TWO")).unwrap().needed, [1]);
    }

    #[test]
    fn a_stage_that_comes_from_elsewhere_needs_nothing() {
        let text =
            "FROM a AS one\nFROM one AS elsewhere\nRUN x\nFROM b\nCOPY --from=elsewhere / /\n";
        assert_eq!(planned(text, None).unwrap().needed, [2]);
        assert_eq!(planned(text, Some("elsewhere")).unwrap().needed, [1]);
    }

    #[test]
    fn what_cannot_be_planned_is_refused_with_its_place() {
        for (text, target, want) in [
            (
                "FROM a\nCOPY --from=b / /\nFROM x AS b\n",
                Some("0"),
                "Dockerfile:2: cannot copy from stage",
            ),
            ("FROM a AS a\nCOPY --from=a / /\n", None, "Dockerfile:2: circular dependency"),
            ("ARG X\nFROM ${X}\n", None, "Dockerfile:2: base name (${X}) should not be blank"),
            (
                "FROM a AS one\n",
                Some("on"),
                "target stage \"on\" could not be found (did you mean one?)",
            ),
        ] {
            let fault = planned(text, target).unwrap_err();
            assert!(fault.message().contains(want), "{text}: {}", fault.message());
        }
    }

    #[test]
    fn arguments_that_nobody_knows_are_named() {
        let file = naru_dockerfile::parse(b"ARG A\nFROM x\nARG B\n").unwrap();
        let host = Platform::host();
        let names = ["A", "B", "C", "HTTP_PROXY", "TARGETARCH", "BUILDKIT_INLINE_CACHE", "D"];
        let arguments = names.map(|name| (name.to_owned(), None)).into();
        let given = Given { build: &host, target: &host, stage: None, arguments: &arguments };
        assert_eq!(not_consumed(&file, given), ["C", "D"]);
    }
}
