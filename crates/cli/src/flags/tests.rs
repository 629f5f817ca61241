//! Tables for the grammar of flags.
use super::*;

static TABLE: &[&[Flag]] = &[&[
    switch("interactive", "").short('i'),
    switch("tty", "").short('t'),
    switch_on("sig-proxy", ""),
    value("name", "string", ""),
    value("memory", "bytes", "").short('m'),
    list("env", "list", "").short('e'),
    switch("gpus", "").refused("there are none"),
    list("publish", "list", "").short('p'),
]];

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn good(line: &str) -> Flags {
    parse(TABLE, Order::FlagsFirst, &words(line)).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn bad(line: &str, message: &str, hint: Option<&str>) {
    let error = parse(TABLE, Order::FlagsFirst, &words(line)).unwrap_err();
    assert_eq!(error.to_string(), message, "{line}");
    assert_eq!(error.hint().as_deref(), hint, "{line}");
}

#[test]
fn all_forms_of_a_flag_are_read() {
    let flags = good("-it -e A=1 -eB=2 -e=C=3 --env D=4 --env=E=5 img -x --y");
    assert!(flags.switch("interactive") && flags.switch("tty") && flags.switch("sig-proxy"));
    let env: Vec<_> = flags.list("env").collect();
    assert_eq!(env, ["A=1", "B=2", "C=3", "D=4", "E=5"]);
    assert_eq!(flags.args(), ["img", "-x", "--y"]);
}

#[test]
fn the_last_value_counts_and_switches_take_words() {
    let flags = good("--name a --name b -i=false --sig-proxy=false -- -t");
    assert_eq!(flags.text("name"), Some("b"));
    assert!(!flags.switch("interactive") && !flags.switch("sig-proxy"));
    assert_eq!(flags.args(), ["-t"]);
    assert_eq!(good("-").args(), ["-"]);
    assert_eq!(good("-itp 80 x").text("publish"), Some("80"));
    assert_eq!(good("-itp80 x").text("publish"), Some("80"));
}

#[test]
fn flags_may_follow_arguments_where_the_command_says_so() {
    let flags = parse(TABLE, Order::Mixed, &words("x -i y --name z")).unwrap();
    assert_eq!(flags.args(), ["x", "y"]);
    assert_eq!(flags.text("name"), Some("z"));
}

#[test]
fn refusals_are_worded_as_in_docker() {
    bad("--bogus", "unknown flag: --bogus", None);
    bad("--nmae x", "unknown flag: --nmae", Some("did you mean `--name`?"));
    bad("-iZ", "unknown shorthand flag: 'Z' in -iZ", None);
    bad("--name", "flag needs an argument: --name", None);
    bad("-ie", "flag needs an argument: 'e' in -ie", None);
    bad("--=x", "bad flag syntax: --=x", None);
    bad("---x", "bad flag syntax: ---x", None);
    bad(
        "-t=maybe",
        "invalid argument \"maybe\" for \"-t, --tty\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        None,
    );
    bad("--gpus", "flag `--gpus` is not supported", Some("there are none"));
    assert!(!good("--gpus=false").switch("gpus"));
    bad("--help", "help requested", None);
    bad("-h", "help requested", None);
}

#[test]
fn values_are_checked_with_the_flag_named() {
    let flags = good("-m abc x");
    let error = flags.parsed("memory", crate::opts::memory::parse).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid argument \"abc\" for \"-m, --memory\" flag: invalid size: 'abc'"
    );
    assert_eq!(
        good("--name 9x").number("name").unwrap_err().to_string(),
        "invalid argument \"9x\" for \"--name\" flag: strconv.ParseInt: parsing \"9x\": invalid syntax"
    );
}
