use super::{Given, Globals, Scope};
use crate::{Dockerfile, Escape, Expander, Instruction, Mount, MountKind, parse};
use naru_oci::Platform;
use std::collections::BTreeMap;

type Arguments = BTreeMap<String, Option<String>>;

fn file(text: &str) -> Dockerfile {
    parse(text.as_bytes()).unwrap()
}

fn arguments(pairs: &[(&str, &str)]) -> Arguments {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect()
}

fn with<T>(arguments: &Arguments, stage: Option<&str>, act: impl FnOnce(Given<'_>) -> T) -> T {
    let build: Platform = "linux/amd64".parse().unwrap();
    let target: Platform = "linux/arm/v7".parse().unwrap();
    act(Given { build: &build, target: &target, stage, arguments })
}

fn globals(text: &str, pairs: &[(&str, &str)]) -> Globals {
    let arguments = arguments(pairs);
    with(&arguments, None, |given| Globals::of(&file(text), given)).unwrap()
}

#[test]
fn platforms_and_the_target_stage_are_known_without_a_declaration() {
    let known = globals("FROM a AS last", &[]);
    for (name, value) in [
        ("BUILDPLATFORM", "linux/amd64"),
        ("BUILDOS", "linux"),
        ("BUILDARCH", "amd64"),
        ("BUILDVARIANT", ""),
        ("TARGETPLATFORM", "linux/arm/v7"),
        ("TARGETOS", "linux"),
        ("TARGETARCH", "arm"),
        ("TARGETVARIANT", "v7"),
        ("TARGETSTAGE", "last"),
    ] {
        assert_eq!(known.get(name), Some(value), "{name}");
    }
    assert_eq!(globals("FROM a", &[]).get("TARGETSTAGE"), Some("default"));
    let none = Arguments::new();
    let known = with(&none, Some("dev"), |given| Globals::of(&file("FROM a AS b"), given));
    assert_eq!(known.unwrap().get("TARGETSTAGE"), Some("dev"));
    assert_eq!(globals("FROM a", &[("TARGETARCH", "x")]).get("TARGETARCH"), Some("x"));
}

#[test]
fn global_arguments_see_those_before_them_and_the_build_overrides_them() {
    let text = "ARG A=1 B=$A-2\nARG C\nARG D=\"$TARGETARCH ${B}\"\nFROM x:$B";
    let known = globals(text, &[]);
    assert_eq!(known.get("B"), Some("1-2"));
    assert_eq!(known.get("C"), None);
    assert!(known.knows("C") && !known.knows("E"));
    assert_eq!(known.get("D"), Some("arm 1-2"));
    let known = globals(text, &[("A", "9"), ("C", "c"), ("E", "e")]);
    assert_eq!((known.get("B"), known.get("C"), known.get("E")), (Some("9-2"), Some("c"), None));
    let unset: Arguments = [("A".to_owned(), None)].into();
    let known = with(&unset, None, |given| Globals::of(&file(text), given)).unwrap();
    assert_eq!(known.get("A"), Some("1"));
}

#[test]
fn a_base_and_its_platform_see_global_arguments_only() {
    let base = |text: &str| {
        let file = file(text);
        let none = Arguments::new();
        with(&none, None, |given| {
            let globals = Globals::of(&file, given).unwrap();
            globals.base(Escape::Backslash, file.stages.last().unwrap())
        })
    };
    let found = base("ARG V=1.2\nFROM --platform=$BUILDPLATFORM golang:${V%.*}").unwrap();
    assert_eq!(found.name, "golang:1");
    assert_eq!(found.platform.unwrap().to_string(), "linux/amd64");
    for (text, message) in [
        ("FROM $X", "base name ($X) should not be blank"),
        ("FROM --platform=$BUILDPLATFROM a", "empty platform value from expression $BUILDPLATFROM"),
        ("FROM --platform=a/b/c/d/e a", "failed to parse platform a/b/c/d/e"),
        ("FROM ${X:?needed}", "needed"),
        ("FROM a\nARG X=1\nFROM $X", "base name ($X) should not be blank"),
    ] {
        let problem = base(text).unwrap_err();
        assert!(problem.message.contains(message), "{text}: {}", problem.message);
    }
    let problem = base("FROM --platform=$BUILDPLATFROM a").unwrap_err();
    assert_eq!(problem.suggestion.as_deref(), Some("BUILDPLATFORM"));
}

/// The scope after the instructions of the last stage.
fn after(text: &str, environment: &[&str], pairs: &[(&str, &str)]) -> Scope {
    let file = file(text);
    let arguments = arguments(pairs);
    with(&arguments, None, |given| {
        let globals = Globals::of(&file, given).unwrap();
        let mut scope = Scope::new(environment.iter().copied());
        for statement in &file.stages.last().unwrap().steps {
            let before = scope.clone();
            let lookup = |name: &str| before.get(name);
            match statement.what.expanded(&Expander::new(Escape::Backslash, &lookup)).unwrap() {
                Instruction::Env(list) => {
                    list.iter().for_each(|pair| scope.set(&pair.key, &pair.value));
                }
                Instruction::Arg(list) => {
                    scope.declare(&list, (&globals, given), Escape::Backslash).unwrap();
                }
                _ => {}
            }
        }
        scope
    })
}

#[test]
fn an_argument_is_worth_what_the_build_gives_or_its_default_or_the_global() {
    let text = "ARG G=global H=global\nFROM a\nARG G\nARG H=default\nARG X=$G-$H\nARG N";
    let scope = after(text, &[], &[]);
    assert_eq!(scope.get("G").as_deref(), Some("global"));
    assert_eq!(scope.get("H").as_deref(), Some("default"));
    assert_eq!(scope.get("X").as_deref(), Some("global-default"));
    assert_eq!(scope.get("N"), None);
    assert!(scope.declares("N") && !scope.declares("M"));
    let scope = after(text, &[], &[("H", "given"), ("N", "n")]);
    assert_eq!(scope.get("X").as_deref(), Some("global-given"));
    assert_eq!(scope.get("N").as_deref(), Some("n"));
    assert_eq!(after("ARG G=1\nFROM a\nENV X=$G", &[], &[]).get("X").as_deref(), Some(""));
}

#[test]
fn the_environment_always_overrides_an_argument_of_the_same_name() {
    for text in ["FROM a\nARG V=arg\nENV V=env", "FROM a\nENV V=env\nARG V=arg"] {
        let scope = after(text, &[], &[("V", "given")]);
        assert_eq!(scope.get("V").as_deref(), Some("env"), "{text}");
        assert_eq!(scope.arguments().count(), 0, "{text}");
    }
    assert_eq!(after("FROM a\nARG V=arg", &["V=base"], &[]).get("V").as_deref(), Some("base"));
    let scope = after("FROM a\nARG V=arg\nENV W=${V}2", &[], &[]);
    assert_eq!(scope.environment(), [("W".to_owned(), "arg2".to_owned())]);
}

#[test]
fn an_instruction_sees_the_variables_as_they_were_before_it() {
    let scope = after("FROM a\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc", &[], &[]);
    assert_eq!(scope.get("def").as_deref(), Some("hello"));
    assert_eq!(scope.get("ghi").as_deref(), Some("bye"));
}

#[test]
fn predefined_arguments_reach_a_process_without_being_declared() {
    let given = arguments(&[("HTTP_PROXY", "p"), ("no_proxy", "n"), ("OTHER", "o")]);
    with(&given, None, |given| {
        let scope = Scope::new(["no_proxy=mine"]);
        assert_eq!(scope.predefined(given).collect::<Vec<_>>(), [("HTTP_PROXY", "p")]);
        assert_eq!(scope.get("HTTP_PROXY"), None);
    });
    let scope = after("FROM a\nARG HTTP_PROXY", &[], &[("HTTP_PROXY", "p")]);
    assert_eq!(scope.arguments().collect::<Vec<_>>(), [("HTTP_PROXY", "p")]);
    with(&given, None, |given| assert_eq!(scope.predefined(given).count(), 1));
}

#[test]
fn each_instruction_is_expanded_by_its_own_rules() {
    let scope = Scope::new(["A=value", "P=80 81", "Q=it's"]);
    let lookup = |name: &str| scope.get(name);
    let expander = Expander::new(Escape::Backslash, &lookup);
    let expanded = |text: &str| {
        let file = file(&format!("FROM a\n{text}"));
        file.stages[0].steps[0].what.expanded(&expander).unwrap()
    };
    let same = |text: &str| {
        let file = file(&format!("FROM a\n{text}"));
        assert_eq!(expanded(text), file.stages[0].steps[0].what, "{text}");
    };
    for text in [
        "RUN echo $A",
        "CMD $A",
        "CMD [\"$A\"]",
        "ENTRYPOINT $A",
        "SHELL [\"$A\"]",
        "ARG X=$A",
        "HEALTHCHECK CMD $A",
        "ONBUILD RUN $A",
        "MAINTAINER $A",
    ] {
        same(text);
    }
    assert_eq!(expanded("WORKDIR /$A/'$A'"), Instruction::Workdir("/value/$A".to_owned()));
    assert_eq!(expanded("USER ${A}:$B"), Instruction::User("value:".to_owned()));
    assert_eq!(expanded("STOPSIGNAL $A"), Instruction::StopSignal("value".to_owned()));
    assert_eq!(
        expanded("VOLUME [\"/$A\", \"/b\"]"),
        Instruction::Volume(vec!["/value".to_owned(), "/b".to_owned()])
    );
    assert_eq!(
        expanded("EXPOSE $P/tcp 90"),
        Instruction::Expose(vec!["80".to_owned(), "81/tcp".to_owned(), "90".to_owned()])
    );
    let Instruction::Label(list) = expanded("LABEL \"k$A\"=\"v ${A}\" b='$A'") else { panic!() };
    let pairs: Vec<(&str, &str)> =
        list.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())).collect();
    assert_eq!(pairs, [("kvalue", "v value"), ("b", "$A")]);
    let Instruction::Copy(copy) =
        expanded("COPY --chown=$A --chmod=$B --from=x $A.txt <<E /$A/\n'$A' $Q \\$A\nE")
    else {
        panic!()
    };
    assert_eq!(copy.files.sources, ["value.txt"]);
    assert_eq!(copy.files.destination, "/value/");
    assert_eq!((copy.files.chown.as_deref(), copy.files.chmod), (Some("value"), None));
    assert_eq!(copy.files.inline[0].content, "'value' it's $A\n");
    let Instruction::Copy(copy) = expanded("COPY <<'E' /\n$A\nE") else { panic!() };
    assert_eq!(copy.files.inline[0].content, "$A\n");
    let file = file("FROM a\nRUN --mount=type=cache,id=$A,target=/${A} x");
    let Instruction::Run(run) = &file.stages[0].steps[0].what else { panic!() };
    let mount: Mount = run.mounts[0].resolve(&mut |word| expander.word(word)).unwrap();
    assert_eq!(mount.target.as_deref(), Some("/value"));
    assert!(matches!(mount.kind, MountKind::Cache { id: Some(id), .. } if id == "value"));
}
