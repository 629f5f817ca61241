use super::{KEYWORDS, parse, parse_trigger};
use crate::{
    Command, Copy, Dockerfile, Healthcheck, Instruction, Problem, Problems, RunNetwork,
    RunSecurity, Script, script,
};
use proptest::prelude::*;
use std::time::Duration;

fn good(text: &str) -> Dockerfile {
    parse(text.as_bytes()).unwrap_or_else(|problems| panic!("{}", problems.render("Dockerfile")))
}

/// The instructions of a stage that holds `text`.
fn steps(text: &str) -> Vec<Instruction> {
    let mut file = good(&format!("FROM scratch\n{text}"));
    file.stages.remove(0).steps.into_iter().map(|statement| statement.what).collect()
}

fn step(text: &str) -> Instruction {
    let mut steps = steps(text);
    assert_eq!(steps.len(), 1, "{text}");
    steps.remove(0)
}

fn first(text: &str) -> Problem {
    match parse(text.as_bytes()) {
        Ok(_) => panic!("accepted: {text}"),
        Err(problems) => problems.first().clone(),
    }
}

fn refused(text: &str, sentence: &str) {
    assert_eq!(first(&format!("FROM scratch\n{text}")).sentence(), sentence, "{text}");
}

#[test]
fn an_unknown_instruction_is_refused_with_the_nearest() {
    assert_eq!(
        first("FRO x").to_string(),
        "dockerfile parse error on line 1: unknown instruction: FRO (did you mean FROM?)"
    );
    refused("RUNN ls", "unknown instruction: RUNN (did you mean RUN?)");
    refused("wrkdir /a", "unknown instruction: wrkdir (did you mean workdir?)");
    refused("Coppy a b", "unknown instruction: Coppy (did you mean COPY?)");
    refused("FOO bar", "unknown instruction: FOO (did you mean FROM?)");
    refused("BARBAZ bar", "unknown instruction: BARBAZ");
    refused("\\", "unknown instruction: ");
    refused("[\"a\"]", "unknown instruction: [\"a\"]");
}

#[test]
fn an_instruction_without_its_arguments_is_refused() {
    for keyword in ["MAINTAINER", "WORKDIR", "USER", "STOPSIGNAL"] {
        refused(keyword, &format!("{keyword} requires exactly one argument"));
    }
    for keyword in
        ["ENV", "LABEL", "ARG", "ONBUILD", "HEALTHCHECK", "EXPOSE", "VOLUME", "SHELL", "SHELL []"]
    {
        let name = keyword.split(' ').next().unwrap();
        refused(keyword, &format!("{name} requires at least one argument"));
    }
    for keyword in ["ADD", "COPY"] {
        for arguments in ["", " arg1", " [\"a\"]", "\t\n\t\tquux"] {
            if arguments.contains('\n') {
                continue;
            }
            refused(
                &format!("{keyword}{arguments}"),
                &format!(
                    "{keyword} requires at least two arguments, but only one was provided. Destination could not be \
                     determined"
                ),
            );
        }
    }
    for text in ["FROM", "FROM a b", "FROM a as", "FROM a with b", "FROM a as b c"] {
        refused(text, "FROM requires either one or three arguments");
    }
    refused("ENV =a", "ENV names can not be blank");
    refused("LABEL =a", "LABEL names can not be blank");
    refused("ARG =a", "ARG names can not be blank");
    refused("ENV a", "ENV must have two arguments");
    refused("VOLUME [\" \"]", "VOLUME specified can not be an empty string");
    refused("SHELL bash -c", "SHELL requires the arguments to be in JSON form");
    refused(
        "CMD [\"a\", 1]",
        "when using JSON array syntax, arrays must be comprised of strings only",
    );
}

#[test]
fn every_instruction_refuses_flags_it_does_not_have() {
    for keyword in KEYWORDS {
        let text = match keyword {
            "HEALTHCHECK" => "HEALTHCHECK --boo CMD x".to_owned(),
            "SHELL" => "SHELL --boo [\"x\"]".to_owned(),
            "ONBUILD" => "ONBUILD --boo RUN x".to_owned(),
            "ADD" | "COPY" => format!("{keyword} --boo a b"),
            _ => format!("{keyword} --boo a=b"),
        };
        refused(&text, "unknown flag: --boo");
    }
    refused("COPY --form=a b c", "unknown flag: --form (did you mean from?)");
    refused("RUN --mont=type=cache x", "unknown flag: --mont (did you mean mount?)");
    refused("FROM --platfrom=a b", "unknown flag: --platfrom (did you mean platform?)");
    refused("COPY --from a b", "missing a value on flag: --from");
    refused("COPY --from=a --from=b c d", "duplicate flag specified: --from");
    refused("COPY --link= a b", "missing a value on flag: --link");
    refused("COPY --link=no a b", "expecting boolean value for flag --link, not: no");
}

#[test]
fn only_arg_may_stand_before_the_first_from() {
    assert_eq!(first("RUN a\nFROM b").message, "no build stage in current context");
    assert_eq!(first("ARG A").message, "dockerfile contains no stages to build");
    let file = good("ARG A=1 B\nARG C\nFROM a");
    let names: Vec<&str> = file
        .arguments
        .iter()
        .flat_map(|statement| &statement.what)
        .map(|argument| argument.name.as_str())
        .collect();
    assert_eq!(names, ["A", "B", "C"]);
}

#[test]
fn a_stage_has_a_base_a_name_and_a_platform() {
    let file = good("FROM --platform=$BUILDPLATFORM golang:1.22 AS Build\nfrom build");
    let stage = &file.stages[0];
    assert_eq!(stage.base, "golang:1.22");
    assert_eq!(stage.name.as_deref(), Some("build"));
    assert_eq!(stage.platform.as_deref(), Some("$BUILDPLATFORM"));
    assert_eq!(stage.from.what.written_name.as_deref(), Some("Build"));
    assert_eq!(file.stages[1].from.keyword, "from");
    for name in ["1a", "a/b", "-a", "a$b", "구"] {
        refused(
            &format!("FROM a AS {name}"),
            &format!(
                "invalid name for build stage: {name:?}, name can't start with a number or contain symbols"
            ),
        );
    }
}

#[test]
fn comments_that_start_with_a_name_describe_it() {
    let file = good(
        "# foo sets foo\nARG foo=bar\n\n# base defines first stage\nFROM busybox AS base\n# this is irrelevant\nARG foo\n\
         # bar defines bar\n# baz is something else\nARG bar baz=123\n",
    );
    assert_eq!(file.stages[0].description().as_deref(), Some("defines first stage"));
    assert_eq!(file.arguments[0].what[0].description.as_deref(), Some("sets foo"));
    let described: Vec<(String, Option<String>)> = file.stages[0]
        .steps
        .iter()
        .flat_map(|statement| match &statement.what {
            Instruction::Arg(list) => list.clone(),
            _ => Vec::new(),
        })
        .map(|argument| (argument.name, argument.description))
        .collect();
    assert_eq!(
        described,
        [
            ("foo".to_owned(), None),
            ("bar".to_owned(), Some("defines bar".to_owned())),
            ("baz".to_owned(), Some("is something else".to_owned()))
        ]
    );
}

#[test]
fn commands_have_two_forms() {
    let shell = |text: &str| Command::Shell(text.to_owned());
    let exec = |words: &[&str]| Command::Exec(words.iter().map(|w| (*w).to_owned()).collect());
    assert_eq!(step("CMD echo  \"a\"  b"), Instruction::Cmd(shell("echo  \"a\"  b")));
    assert_eq!(step("CMD [\"a\", \"b c\"]"), Instruction::Cmd(exec(&["a", "b c"])));
    assert_eq!(step("CMD []"), Instruction::Cmd(exec(&[])));
    assert_eq!(step("CMD"), Instruction::Cmd(shell("")));
    assert_eq!(step("CMD ['a']"), Instruction::Cmd(shell("['a']")));
    assert_eq!(step("ENTRYPOINT [\"a\""), Instruction::Entrypoint(shell("[\"a\"")));
    assert_eq!(
        step("SHELL [\"/bin/bash\", \"-c\"]"),
        Instruction::Shell(vec!["/bin/bash".to_owned(), "-c".to_owned()])
    );
}

#[test]
fn copy_and_add_have_their_flags() {
    let Instruction::Copy(Copy { files, from, parents }) = step(
        "COPY --from=base --chown=a:b --chmod=755 --link --parents --exclude=*.o --exclude=*.a x y/ [z] /dst/",
    ) else {
        panic!("no COPY")
    };
    assert_eq!(files.sources, ["x", "y/", "[z]"]);
    assert_eq!(files.destination, "/dst/");
    assert_eq!(files.exclude, ["*.o", "*.a"]);
    assert_eq!((files.chown.as_deref(), files.chmod.as_deref()), (Some("a:b"), Some("755")));
    assert_eq!((files.link, parents, from.as_deref()), (true, true, Some("base")));
    let Instruction::Copy(copy) = step("COPY --link=false [\"a b\", \"c\"]") else { panic!() };
    assert!(!copy.files.link);
    assert_eq!(copy.files.sources, ["a b"]);
    let Instruction::Add(add) =
        step("ADD --checksum=sha256:1 --keep-git-dir --unpack=false http://a b")
    else {
        panic!()
    };
    assert_eq!(add.checksum.as_deref(), Some("sha256:1"));
    assert_eq!((add.keep_git_dir, add.unpack), (Some(true), Some(false)));
    let message = first("FROM a\nCOPY --from=$A b c").message;
    assert!(message.starts_with("variable expansion is not supported for --from"), "{message}");
}

#[test]
fn copy_takes_heredocs_as_files() {
    let inline = |text: &str| {
        let Instruction::Copy(copy) = step(text) else { panic!("{text}") };
        let files: Vec<(String, String, bool)> = copy
            .files
            .inline
            .into_iter()
            .map(|file| (file.name, file.content, file.expand))
            .collect();
        (copy.files.sources, files, copy.files.destination)
    };
    let file = |name: &str, content: &str, expand| (name.to_owned(), content.to_owned(), expand);
    let bar = || "/bar".to_owned();
    for (text, sources, files) in [
        ("COPY /foo /bar", vec!["/foo"], vec![]),
        ("COPY <<EOF /bar\nEOF", vec![], vec![file("EOF", "", true)]),
        ("COPY <<EOF /bar\nTESTING\nEOF", vec![], vec![file("EOF", "TESTING\n", true)]),
        ("COPY <<-EOF /bar\n\tTESTING\nEOF", vec![], vec![file("EOF", "TESTING\n", true)]),
        ("COPY <<'EOF' /bar\nTESTING\nEOF", vec![], vec![file("EOF", "TESTING\n", false)]),
        (
            "COPY <<EOF1 <<EOF2 /bar\nthis is the first file\nEOF1\nthis is the second file\nEOF2",
            vec![],
            vec![
                file("EOF1", "this is the first file\n", true),
                file("EOF2", "this is the second file\n", true),
            ],
        ),
        (
            "COPY <<EOF foo.txt /bar\nthis is inline\nEOF",
            vec!["foo.txt"],
            vec![file("EOF", "this is inline\n", true)],
        ),
        ("COPY <<EOF /bar\n\"quotes\"\nEOF", vec![], vec![file("EOF", "\"quotes\"\n", true)]),
        (
            "COPY <<EOF <<EOF /bar\na\nEOF\nb\nEOF",
            vec![],
            vec![file("EOF", "a\n", true), file("EOF", "b\n", true)],
        ),
    ] {
        let sources: Vec<String> = sources.into_iter().map(str::to_owned).collect();
        assert_eq!(inline(text), (sources, files, bar()), "{text}");
    }
    refused("COPY /foo <<EOF\nEOF", "COPY cannot accept a heredoc as a destination");
    refused(
        "ADD << EOF /bar\nEOF",
        "ADD needs its heredocs as words of their own: write <<NAME without blanks",
    );
}

#[test]
fn a_heredoc_alone_is_the_script_and_beside_other_words_the_shells() {
    let run = |text: &str| {
        let file = good(&format!("FROM a\n{text}"));
        let statement = &file.stages[0].steps[0];
        let Instruction::Run(run) = &statement.what else { panic!("{text}") };
        script(&run.command, &statement.heredocs)
    };
    let shell = |text: &str| Script::Shell(text.to_owned());
    assert_eq!(run("RUN ls /"), shell("ls /"));
    assert_eq!(run("RUN [\"ls\", \"/\"]"), Script::Exec(vec!["ls".to_owned(), "/".to_owned()]));
    assert_eq!(run("RUN [\"<<EOF\"]"), Script::Exec(vec!["<<EOF".to_owned()]));
    assert_eq!(run("RUN <<EOF\nls /\nwhoami\nEOF"), shell("ls /\nwhoami\n"));
    assert_eq!(run("RUN <<-EOF\n\techo test\nEOF"), shell("echo test\n"));
    assert_eq!(
        run("RUN <<'EOF' | python\nprint(1)\nEOF"),
        shell("<<'EOF' | python\nprint(1)\nEOF")
    );
    assert_eq!(run("RUN cat <<A <<-B\na\nA\n\tb\n\tB"), shell("cat <<A <<-B\na\nA\n\tb\nB"));
    assert_eq!(
        run("RUN <<EOF\n#!/usr/bin/env python\nprint(1)\nEOF"),
        Script::File {
            name: "EOF".to_owned(),
            content: "#!/usr/bin/env python\nprint(1)\n".to_owned()
        }
    );
}

#[test]
fn run_has_its_flags() {
    let Instruction::Run(run) = step(
        "RUN --mount=type=cache,target=/c --mount=from=base,target=/$X --network=none --security=insecure \
         --device=vendor1.com/device=foo,required make -j 4",
    ) else {
        panic!()
    };
    assert_eq!(run.command, Command::Shell("make -j 4".to_owned()));
    assert_eq!((run.network, run.security), (RunNetwork::None, RunSecurity::Insecure));
    let from: Vec<Option<&str>> = run.mounts.iter().map(|mount| mount.from.as_deref()).collect();
    assert_eq!(from, [None, Some("base")]);
    assert!(run.devices[0].required);
    refused("RUN --network=hst a", "invalid network mode \"hst\" (did you mean host?)");
    refused("RUN --security=sandbx a", "security \"sandbx\" is not valid (did you mean sandbox?)");
    refused("RUN --mount=type=bnd a", "unsupported mount type \"bnd\" (did you mean bind?)");
    refused(
        "RUN --mount=from=$A,target=/a b",
        "'from' doesn't support variable expansion, define alias stage instead",
    );
}

#[test]
fn devices_have_a_name_and_may_be_required() {
    for (text, name, required) in [
        ("vendor1.com/device=foo", "vendor1.com/device=foo", false),
        ("vendor1.com/device", "vendor1.com/device", false),
        ("vendor1.com/device=foo,required", "vendor1.com/device=foo", true),
        ("vendor1.com/device=foo,required=true", "vendor1.com/device=foo", true),
        ("vendor1.com/device=foo,required=false", "vendor1.com/device=foo", false),
        ("name=vendor1.com/device=foo", "vendor1.com/device=foo", false),
        ("name=vendor1.com/device=foo,required", "vendor1.com/device=foo", true),
    ] {
        let Instruction::Run(run) = step(&format!("RUN --device={text} x")) else { panic!() };
        let device = &run.devices[0];
        assert_eq!((device.name.as_str(), device.required), (name, required), "{text}");
    }
    refused(
        "RUN --device=vendor1.com/device=foo,name=vendor2.com/device=bar x",
        "device name already set to vendor1.com/device=foo",
    );
    refused("RUN --device=required x", "--device=required names no device");
}

#[test]
fn health_checks_have_a_command_and_times() {
    let Instruction::Healthcheck(Healthcheck::Check(check)) = step(
        "HEALTHCHECK --interval=5s --timeout=1m --start-period=0s --start-interval=1ms --retries=3 CMD curl  -f x",
    ) else {
        panic!()
    };
    assert_eq!(check.command, Command::Shell("curl  -f x".to_owned()));
    assert_eq!(check.interval, Some(Duration::from_secs(5)));
    assert_eq!(check.timeout, Some(Duration::from_secs(60)));
    assert_eq!((check.start_period, check.retries), (None, Some(3)));
    assert_eq!(check.start_interval, Some(Duration::from_millis(1)));
    let Instruction::Healthcheck(Healthcheck::Check(check)) =
        step("healthcheck cmd [\"a\", \"b\"]")
    else {
        panic!()
    };
    assert_eq!(check.command, Command::Exec(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(step("HEALTHCHECK none"), Instruction::Healthcheck(Healthcheck::None));
    refused("HEALTHCHECK NONE a", "HEALTHCHECK NONE takes no arguments");
    refused("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD");
    refused("HEALTHCHECK curl x", "Unknown type \"CURL\" in HEALTHCHECK (try CMD)");
    refused("HEALTHCHECK --interval=50ns CMD a", "Interval \"interval\" cannot be less than 1ms");
    refused("HEALTHCHECK --timeout=-5s CMD a", "Interval \"timeout\" cannot be less than 1ms");
    refused("HEALTHCHECK --timeout=5 CMD a", "time: missing unit in duration \"5\"");
    refused("HEALTHCHECK --retries=-1 CMD a", "--retries cannot be negative (-1)");
    refused("HEALTHCHECK --retries=x CMD a", "--retries=x is not a number");
}

#[test]
fn a_trigger_is_recorded_as_text_and_reads_back() {
    let Instruction::Onbuild(onbuild) = step("onbuild  RUN <<-EOF\n\thi\n\tEOF") else { panic!() };
    assert_eq!(onbuild.expression, "RUN <<-EOF\n\thi\nEOF");
    let again = parse_trigger(&onbuild.expression).unwrap();
    assert_eq!(again.what, onbuild.trigger.what);
    assert_eq!(again.heredocs, onbuild.trigger.heredocs);
    let Instruction::Onbuild(onbuild) = step("ONBUILD COPY --from=a . /x") else { panic!() };
    assert_eq!(onbuild.expression, "COPY --from=a . /x");
    refused("ONBUILD FROM scratch", "FROM isn't allowed as an ONBUILD trigger");
    refused("onbuild maintainer x", "MAINTAINER isn't allowed as an ONBUILD trigger");
    refused("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    refused("ONBUILD RNU x", "unknown instruction: RNU (did you mean RUN?)");
    let several = parse_trigger("RUN a\nRUN b").unwrap_err();
    assert_eq!(several.first().message, "onbuild trigger should be a single expression");
    assert!(parse_trigger("").is_err());
}

#[test]
fn directives_stand_at_the_top_and_nowhere_else() {
    let directives = |text: &str| good(text).directives;
    let found = directives(
        "# Syntax = docker/dockerfile:1 // why\n#escape=`\n# check=skip=A,B;error=true\nFROM a",
    );
    assert_eq!(found.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(found.escape, crate::Escape::Backtick);
    assert_eq!(found.check.skip, ["A", "B"]);
    assert!(found.check.error);
    assert_eq!(directives("# a comment\n# syntax=x\nFROM a").syntax, None);
    assert_eq!(directives("\n# syntax=x\nFROM a").syntax, None);
    assert_eq!(directives("# unknown=x\n# syntax=x\nFROM a").syntax, None);
    assert_eq!(directives("FROM a\n# syntax=x").syntax, None);
    assert_eq!(directives("#!/bin/x\n# syntax=x\nFROM a").syntax.as_deref(), Some("x"));
    assert_eq!(directives("  #  syntax  =  x  \nFROM a").syntax.as_deref(), Some("x"));
    assert_eq!(
        first("# escape=\\\n# ESCAPE=`\nFROM a").message,
        "only one escape parser directive can be used"
    );
    assert_eq!(
        first("# escape=x\nFROM a").message,
        "invalid escape token 'x' does not match ` or \\"
    );
    assert_eq!(first("# check=skp=all\nFROM a").message, "invalid check option \"skp\"");
    assert_eq!(
        first("# check=error=maybe\nFROM a").message,
        "failed to parse check option \"error=maybe\""
    );
}

#[test]
fn all_problems_are_reported_in_the_order_of_the_file_with_their_lines() {
    let problems = parse(b"FROM a\nRUNN x\nENV a\nCOPY b\nRUN ok\nLABEL c=d e\n").unwrap_err();
    let lines: Vec<usize> = problems.iter().map(|problem| problem.span.start).collect();
    assert_eq!(lines, [2, 3, 4, 6]);
    assert!(problems.to_string().starts_with("dockerfile parse error on line 2: unknown"));
    assert_eq!(
        problems.render("Dockerfile").lines().take(9).collect::<Vec<_>>(),
        [
            "Dockerfile:2",
            "--------------------",
            "   1 |     FROM a",
            "   2 | >>> RUNN x",
            "   3 |     ENV a",
            "   4 |     COPY b",
            "--------------------",
            "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)",
            "Dockerfile:3",
        ]
    );
}

#[test]
fn an_empty_file_is_refused() {
    for text in ["", "\n\n", "# only\n# comments\n", "\u{feff}"] {
        assert_eq!(first(text).message, "file with no instructions", "{text:?}");
    }
}

/// Every problem is short and harmless to a terminal, whatever the file was.
fn harmless(problems: &Problems) {
    let shown = problems.render("Dockerfile");
    assert!(shown.len() < 200_000, "{}", shown.len());
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
}

#[test]
fn ten_megabytes_an_endless_line_and_junk_are_answered_at_once() {
    let comments = "# nothing to see here\n".repeat(500_000);
    harmless(&parse(comments.as_bytes()).unwrap_err());
    let steps = format!("FROM a\n{}", "RUN echo \"hello\" > /tmp/x && --a=b\n".repeat(300_000));
    assert_eq!(good(&steps).stages[0].steps.len(), 300_000);
    let continued = format!("FROM a\nRUN a{}", " \\\n  bbbbbbbbbbbbbbbbbbbbbbbbbb".repeat(350_000));
    assert_eq!(good(&continued).stages[0].steps.len(), 1);
    let endless = vec![b'x'; 10 << 20];
    harmless(&parse(&endless).unwrap_err());
    let heredocs = format!("FROM a\nCOPY <<E /x\n{}E\n", "line of a file\n".repeat(600_000));
    assert_eq!(good(&heredocs).stages[0].steps.len(), 1);
    let openers = format!("FROM a\nRUN {}", "<<A ".repeat(16_000));
    harmless(&parse(openers.as_bytes()).unwrap_err());
    let chain = format!("FROM a\n{}RUN x", "ONBUILD ".repeat(8_000));
    harmless(&parse(chain.as_bytes()).unwrap_err());
    let array = format!("FROM a\nCMD {}", "[".repeat(60_000));
    assert_eq!(good(&array).stages[0].steps.len(), 1);
    let mut junk = Vec::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    while junk.len() < 10 << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        junk.extend(state.to_le_bytes());
    }
    harmless(&parse(&junk).unwrap_err());
}

#[test]
fn five_thousand_stages_are_read() {
    let text: String = (0..5_000).map(|n| format!("FROM a AS s{n}\nRUN b\n")).collect();
    assert_eq!(good(&text).stages.len(), 5_000);
}

proptest! {
    #[test]
    fn no_file_panics(lines in proptest::collection::vec(
        prop_oneof![
            "(FROM|RUN|COPY|ADD|ENV|ARG|LABEL|ONBUILD|HEALTHCHECK|CMD|SHELL|VOLUME|from|FRO) [-a-z=$\"'\\[\\], <\\\\`]{0,30}",
            "[#a-z=` \\\\]{0,20}",
            "RUN --mount=[a-z=,/\"]{0,30} x",
            "(E|EOF)",
            any::<String>(),
        ], 0..12)) {
        let text = lines.join("\n");
        if let Err(problems) = parse(text.as_bytes()) {
            harmless(&problems);
        }
        drop(parse_trigger(&text));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Err(problems) = parse(&bytes) {
            harmless(&problems);
        }
    }
}
