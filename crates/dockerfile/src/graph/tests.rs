use super::{Graph, Origin};
use crate::{Dockerfile, parse};

fn file(text: &str) -> Dockerfile {
    parse(text.as_bytes()).unwrap()
}

fn graph(text: &str) -> Graph {
    let file = file(text);
    let bases: Vec<String> = file.stages.iter().map(|stage| stage.base.clone()).collect();
    Graph::new(&file, &bases).unwrap()
}

fn needed(text: &str, target: Option<&str>) -> Vec<usize> {
    let graph = graph(text);
    graph.needed(graph.target(target).unwrap()).unwrap()
}

fn refused(text: &str) -> String {
    let file = file(text);
    let bases: Vec<String> = file.stages.iter().map(|stage| stage.base.clone()).collect();
    match Graph::new(&file, &bases) {
        Err(problems) => problems.first().message.clone(),
        Ok(graph) => {
            let target = graph.target(None).unwrap();
            graph.needed(target).unwrap_err().first().message.clone()
        }
    }
}

const FILE: &str = "FROM alpine AS base\nFROM base AS build\nRUN make\nFROM busybox AS unused\nFROM scratch\n\
                    COPY --from=BUILD /a /a\nRUN --mount=from=0,target=/x true\nCOPY --from=nginx:latest /b /b\n";

#[test]
fn a_target_needs_what_it_starts_from_and_what_it_copies_from_and_no_more() {
    assert_eq!(needed(FILE, None), [0, 1, 3]);
    assert_eq!(needed(FILE, Some("build")), [0, 1]);
    assert_eq!(needed(FILE, Some("Unused")), [2]);
    assert_eq!(needed(FILE, Some("0")), [0]);
    assert_eq!(needed(FILE, Some("")), [0, 1, 3]);
}

#[test]
fn names_mean_stages_numbers_or_images() {
    let graph = graph(FILE);
    assert_eq!(graph.base(0), Some(&Origin::Other("alpine".to_owned())));
    assert_eq!(graph.base(1), Some(&Origin::Stage(0)));
    assert_eq!(graph.base(3), Some(&Origin::Scratch));
    for (name, origin) in [
        ("build", Some(Origin::Stage(1))),
        ("Build", Some(Origin::Stage(1))),
        ("2", Some(Origin::Stage(2))),
        ("nginx", Some(Origin::Other("nginx".to_owned()))),
        ("scratch", Some(Origin::Scratch)),
        ("3", None),
        ("9", None),
        ("-1", None),
    ] {
        assert_eq!(graph.source(3, name), origin, "{name}");
    }
}

#[test]
fn a_target_that_is_not_there_is_refused_with_the_nearest() {
    let graph = graph(FILE);
    assert_eq!(
        graph.target(Some("buidl")),
        Err("target stage \"buidl\" could not be found (did you mean build?)".to_owned())
    );
    assert_eq!(graph.target(Some("9")), Err("target stage \"9\" could not be found".to_owned()));
}

#[test]
fn of_stages_with_one_name_the_last_before_counts() {
    let text = "FROM a AS x\nFROM b AS x\nFROM x\nFROM scratch\nCOPY --from=x a b\nFROM c AS x";
    assert_eq!(needed(text, Some("2")), [1, 2]);
    assert_eq!(needed(text, Some("3")), [1, 3]);
    assert_eq!(needed(text, Some("x")), [4]);
}

#[test]
fn references_ahead_and_circles_are_refused() {
    assert_eq!(
        refused("FROM a AS x\nCOPY --from=y a b\nFROM b AS y\nFROM x"),
        "cannot copy from stage \"y\", it needs to be defined before current stage \"x\""
    );
    assert_eq!(
        refused("FROM a\nCOPY --from=1 a b\nFROM b\nFROM scratch\nCOPY --from=0 a b"),
        "cannot copy from stage \"1\", it needs to be defined before current stage \"stage-0\""
    );
    assert_eq!(
        refused("FROM a AS x\nCOPY --from=x a b"),
        "circular dependency detected on stage: x"
    );
    assert_eq!(
        refused("FROM a\nRUN --mount=from=0,target=/a b"),
        "circular dependency detected on stage: stage-0"
    );
    assert_eq!(
        refused("FROM a AS x\nCOPY --from=y a b\nFROM b AS y\nCOPY --from=x a b"),
        "circular dependency detected on stage: x"
    );
    assert_eq!(
        refused("FROM a AS x\nCOPY --from=z a b\nFROM x AS y\nFROM y AS z\nFROM c"),
        "circular dependency detected on stage: x"
    );
    assert_eq!(refused("FROM a\nCOPY --from=1 a b"), "invalid stage index 1");
    assert_eq!(refused("FROM a\nCOPY --from=-1 a b"), "invalid stage index -1");
    // What nobody needs may look ahead.
    assert_eq!(needed("FROM a AS x\nCOPY --from=y a b\nFROM b AS y", None), [1]);
}

#[test]
fn triggers_of_a_stage_bring_needs_to_those_that_start_from_it() {
    let text = "FROM a AS tools\nFROM b AS base\nONBUILD COPY --from=tools /x /x\nFROM base";
    assert_eq!(needed(text, Some("base")), [1]);
    assert_eq!(needed(text, None), [0, 1, 2]);
}

#[test]
fn five_thousand_stages_in_a_chain_and_in_a_fan_are_sorted_out_at_once() {
    let mut text = String::from("FROM scratch AS s0\n");
    for number in 1..5_000 {
        text += &format!("FROM s{} AS s{number}\nCOPY --from={} a b\n", number - 1, number / 2);
    }
    assert_eq!(needed(&text, None).len(), 5_000);
    let mut circles = String::new();
    for number in 0..5_000 {
        circles += &format!("FROM scratch AS s{number}\nCOPY --from=s{} a b\n", 4_999 - number);
    }
    assert!(refused(&circles).starts_with("circular dependency"));
}
