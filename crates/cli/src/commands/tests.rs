//! The tree of commands as a whole.
use super::*;

fn walk(command: &'static Command, path: &str, visit: &mut dyn FnMut(&str, &'static Command)) {
    visit(path, command);
    if let Action::Group(members) = command.action {
        for member in members {
            walk(member, format!("{path} {}", member.name).trim(), visit);
        }
    }
}

#[test]
fn no_command_has_a_flag_twice() {
    walk(&ROOT, "", &mut |path, command| {
        let mut long = std::collections::BTreeSet::new();
        let mut short = std::collections::BTreeSet::new();
        for flag in command.flags.iter().flat_map(|part| part.iter()) {
            assert!(long.insert(flag.long), "{path} --{}", flag.long);
            assert!(
                flag.short.is_none_or(|letter| short.insert(letter)),
                "{path} -{:?}",
                flag.short
            );
        }
    });
}

#[test]
fn every_command_can_be_found_and_has_help() {
    walk(&ROOT, "", &mut |path, command| {
        if command.is_absent() || path.is_empty() {
            return;
        }
        assert!(!command.about.is_empty() && !command.usage.is_empty(), "{path}");
        let words: Vec<String> = path.split(' ').map(str::to_owned).collect();
        let (full, found, rest) = find("naru", &ROOT, &words).unwrap_or_else(|_| panic!("{path}"));
        assert!(std::ptr::eq(found, command) && rest.is_empty(), "{full}");
    });
}

fn refused(line: &str, status: u8, message: &str, hint: Option<&str>) {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let hooks = Hooks {
        start_daemon: |_| Err(Fault::unsupported("no daemon in this test")),
        registry: |_| Err(Fault::unsupported("no registry in this test")),
    };
    let failed = run(&words, hooks).unwrap_err();
    let fault = failed.fault.unwrap_or_else(|| panic!("{line} says nothing"));
    assert_eq!((failed.status.0, fault.message()), (status, message), "{line}");
    if let Some(hint) = hint {
        assert!(fault.hint().unwrap_or_default().contains(hint), "{line}: {:?}", fault.hint());
    }
}

#[test]
fn bad_command_lines_end_as_in_docker() {
    for (line, status, message, hint) in [
        ("naru run --bogus x", 125, "unknown flag: --bogus", None),
        ("naru run --nmae x y", 125, "unknown flag: --nmae", Some("did you mean `--name`?")),
        ("naru run -Z", 125, "unknown shorthand flag: 'Z' in -Z", None),
        ("naru run --name", 125, "flag needs an argument: --name", None),
        ("naru run", 1, "'naru run' requires at least 1 argument", None),
        ("docker run", 1, "'docker run' requires at least 1 argument", None),
        ("naru ps x", 1, "'naru ps' accepts no arguments", None),
        ("naru exec x", 1, "'naru exec' requires at least 2 arguments", None),
        ("naru rename x", 1, "'naru rename' requires 2 arguments", None),
        ("naru bogus", 1, "unknown command: naru bogus", None),
        ("naru contaner", 1, "unknown command: naru contaner", Some("naru container")),
        ("naru container bogus", 1, "unknown command: naru container bogus", None),
        ("naru --bogus", 125, "unknown flag: --bogus", None),
        ("naru pull -a x:1", 1, "tag can't be used with --all-tags/-a", None),
        ("naru push -a x:1", 1, "tag can't be used with --all-tags/-a", None),
        (
            "naru pull X",
            1,
            "invalid reference format: repository name (`X`) must be lowercase",
            None,
        ),
        ("naru pull", 1, "'naru pull' requires 1 argument", None),
        (
            "naru pull --limit-rate fast x:1",
            125,
            "invalid argument \"fast\" for \"--limit-rate\" flag: invalid size: 'fast'",
            Some("512m"),
        ),
        ("naru login a b", 1, "'naru login' requires at most 1 argument", None),
        (
            "naru login -p x --password-stdin h",
            1,
            "conflicting options: cannot specify both --password and --password-stdin",
            None,
        ),
        (
            "naru login --password-stdin h",
            1,
            "the --password-stdin option requires --username to be set",
            None,
        ),
        ("naru search x", 1, "`naru search` is not supported yet", Some("naru pull")),
        ("naru compose up", 1, "`naru compose` is not supported yet", Some("one by one")),
        ("naru run --gpus all x", 125, "flag `--gpus` is not supported", Some("--device")),
        ("naru run -p x y", 125, "invalid containerPort: x", None),
        ("naru create -p x y", 125, "invalid containerPort: x", None),
        (
            "naru run --network host --network a x",
            125,
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            None,
        ),
        ("naru port", 1, "'naru port' requires at least 1 and at most 2 arguments", None),
        ("naru network create", 1, "'naru network create' requires 1 argument", None),
        ("naru network connect n", 1, "'naru network connect' requires 2 arguments", None),
        ("naru network rm", 1, "'naru network rm' requires at least 1 argument", None),
        ("naru network ls x", 1, "'naru network ls' accepts no arguments", None),
        (
            "naru network ls --filter x",
            125,
            "invalid argument \"x\" for \"-f, --filter\" flag: bad format of filter (expected name=value)",
            None,
        ),
        (
            "naru network create --scope swarm n",
            125,
            "flag `--scope` is not supported",
            Some("cluster"),
        ),
        (
            "naru network create --subnet 10.0.0.0/24 --gateway 10.0.1.1 n",
            1,
            "no matching subnet for gateway 10.0.1.1",
            None,
        ),
        ("naru network foo", 1, "unknown command: naru network foo", None),
        (
            "naru run --pull=sometimes x",
            125,
            "invalid pull option: 'sometimes': must be one of \"always\", \"missing\" or \"never\"",
            None,
        ),
        (
            "naru run --rm --restart always x",
            125,
            "conflicting options: cannot specify both --restart and --rm",
            None,
        ),
        (
            "naru run -d -a stdout x",
            125,
            "conflicting options: cannot specify both --attach and --detach",
            None,
        ),
        (
            "naru run --memory abc x",
            125,
            "invalid argument \"abc\" for \"-m, --memory\" flag: invalid size: 'abc'",
            None,
        ),
        (
            "naru create --ulimit what=1 x",
            125,
            "invalid argument \"what=1\" for \"--ulimit\" flag: invalid ulimit type: what",
            None,
        ),
        (
            "naru run --env-file /nonexistent x",
            125,
            "open /nonexistent: cannot read the env file",
            None,
        ),
        ("naru -H tcp://x ps", 1, "endpoints with `tcp://` are not supported yet", Some("ssh -L")),
        ("naru client -H what ps", 1, "unable to parse docker host `what`", None),
        (
            "naru -H unix:///nonexistent/s ps",
            1,
            "Cannot connect to the Naru daemon at unix:///nonexistent/s. Is the daemon running?",
            Some("naru daemon"),
        ),
        (
            "naru -H unix:///nonexistent/s run x",
            125,
            "Cannot connect to the Naru daemon at unix:///nonexistent/s. Is the daemon running?",
            None,
        ),
        ("naru -l loud ps", 1, "unable to parse logging level: loud", None),
        ("naru logs --tail x y", 1, "invalid number of lines to show: `x`", None),
        ("naru update x", 1, "you must provide one or more flags when using this command", None),
        ("naru inspect --type secret x", 1, "\"secret\" is not a valid value for --type", None),
        ("naru start -a x y", 1, "you cannot start and attach multiple containers at once", None),
        ("naru tag a b@c", 1, "invalid target `b@c`", None),
        ("naru save --format zip x", 1, "unknown archive format `zip`", None),
        ("naru load -i /nonexistent", 1, "open /nonexistent: cannot read the archive", None),
        ("naru help bogus", 1, "unknown command: naru bogus", None),
    ] {
        refused(line, status, message, hint);
    }
}

#[test]
fn help_is_docker_s() {
    let text = flags::command_help(
        "naru tag",
        &image::TAG,
        &["naru image tag".to_owned(), "naru tag".to_owned()],
    );
    assert_eq!(
        text,
        "Usage:  naru tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]\n\nCreate a tag TARGET_IMAGE that refers to SOURCE_IMAGE\n\nAliases:\n  naru image tag, naru tag\n"
    );
    let text = flags::command_help("naru kill", &container::KILL, &[]);
    assert_eq!(
        text,
        "Usage:  naru kill [OPTIONS] CONTAINER [CONTAINER...]\n\nKill one or more running containers\n\nOptions:\n  -s, --signal string   Signal to send to the container\n"
    );
}
