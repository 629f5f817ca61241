use super::{BaseConfig, Context, Rule, check, violation};
use crate::ignore::Patterns;
use crate::{Given, parse};
use naru_oci::Platform;
use std::collections::{BTreeMap, BTreeSet};

/// The findings of a file as docker shows them; every base image sets nothing but `PATH`.
fn findings_with(text: &str, arguments: &[(&str, &str)], ignore: Option<&Patterns>) -> Vec<String> {
    let file = parse(text.as_bytes()).unwrap_or_else(|problems| panic!("{text}: {problems}"));
    let arguments: BTreeMap<String, Option<String>> =
        arguments.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
    let platform: Platform = "linux/amd64".parse().unwrap();
    let given = Given { build: &platform, target: &platform, stage: None, arguments: &arguments };
    let base = |_: usize| Some(BaseConfig::default());
    check(&file, &Context { given, base: &base, ignore })
        .iter()
        .map(|finding| {
            format!("{} {}: {}", finding.span.start, finding.rule.name(), finding.message)
        })
        .collect()
}

fn finds(text: &str, expected: &[&str]) {
    assert_eq!(findings_with(text, &[], None), expected, "{text}");
}

#[test]
fn stage_name_casing_and_from_as_casing() {
    finds("FROM scratch AS Base", &["1 StageNameCasing: Stage name 'Base' should be lowercase"]);
    finds(
        "FROM scratch as base\nFROM scratch AS base2",
        &["1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match"],
    );
    finds(
        "from scratch AS base\nfrom scratch as base2",
        &["1 FromAsCasing: 'AS' and 'from' keywords' casing do not match"],
    );
}

#[test]
fn no_empty_continuation() {
    finds(
        "FROM scratch\n# warning\nCOPY Dockerfile \\\n\n.\nCOPY Dockerfile \\\n.\n",
        &["5 NoEmptyContinuation: Empty continuation line"],
    );
}

#[test]
fn consistent_instruction_casing() {
    let off = |line, word, case| {
        format!(
            "{line} ConsistentInstructionCasing: Command '{word}' should match the case of the command majority ({case})"
        )
    };
    finds("From scratch as base\nFROM scratch AS base2", &[&off(1, "From", "uppercase")]);
    finds("FROM scratch\ncopy a /b\nCOPY a /c", &[&off(2, "copy", "uppercase")]);
    finds("frOM scratch as base\nfrom scratch as base2", &[&off(1, "frOM", "lowercase")]);
    finds("from scratch\nCOPY a /b\ncopy a /c", &[&off(2, "COPY", "lowercase")]);
    finds("from scratch\nCOPY a /b\nCOPY a /c", &[&off(1, "from", "uppercase")]);
    finds("from scratch\ncopy a /b", &[]);
}

#[test]
fn duplicate_and_reserved_stage_names() {
    finds(
        "FROM scratch AS b\nFROM scratch AS b",
        &["2 DuplicateStageName: Duplicate stage name \"b\", stage names should be unique"],
    );
    finds(
        "FROM scratch AS scratch\nFROM a AS context",
        &[
            "1 ReservedStageName: Stage name should not use the same name as reserved stage \"scratch\"",
            "2 ReservedStageName: Stage name should not use the same name as reserved stage \"context\"",
        ],
    );
}

#[test]
fn json_args_recommended() {
    for keyword in ["CMD", "ENTRYPOINT"] {
        let finding = format!(
            "2 JSONArgsRecommended: JSON arguments recommended for {keyword} to prevent unintended behavior related to OS \
             signals"
        );
        finds(&format!("FROM scratch\n{keyword} mycommand"), &[&finding]);
        finds(&format!("FROM scratch\n{keyword} [\"mycommand\"]"), &[]);
        finds(&format!("FROM scratch\nSHELL [\"/x\"]\n{keyword} mycommand"), &[]);
        finds(
            &format!("FROM scratch AS base\nSHELL [\"/x\"]\nFROM base\n{keyword} mycommand"),
            &[],
        );
    }
}

#[test]
fn maintainer_deprecated() {
    finds(
        "FROM scratch\nMAINTAINER me@example.org",
        &["2 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label"],
    );
}

#[test]
fn undefined_arg_in_from() {
    for text in [
        "ARG base=scratch\nFROM $base",
        "ARG BUILDPLATFORM=linux/amd64\nFROM --platform=$BUILDPLATFORM scratch",
        "FROM --platform=$BUILDPLATFORM scratch",
        "ARG DEBUG\nFROM scratch${DEBUG}",
        "ARG DEBUG\nFROM scra${DEBUG:-tch}",
        "ARG DEBUG=\"\"\nFROM scratch${DEBUG-@bogus}",
    ] {
        finds(text, &[]);
    }
    finds(
        "FROM --platform=$BULIDPLATFORM scratch",
        &[
            "1 UndefinedArgInFrom: FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?)",
        ],
    );
    finds(
        "ARG MY_OS=linux\nARG MY_ARCH=amd64\nFROM --platform=linux/${MYARCH} busybox",
        &["3 UndefinedArgInFrom: FROM argument 'MYARCH' is not declared (did you mean MY_ARCH?)"],
    );
    finds(
        "ARG tag=latest\nFROM busybox:${tag}${version} AS b",
        &["2 UndefinedArgInFrom: FROM argument 'version' is not declared"],
    );
}

#[test]
fn workdir_relative_path() {
    finds(
        "FROM scratch\nWORKDIR app/",
        &[
            "2 WorkdirRelativePath: Relative workdir \"app/\" can have unexpected results if the base image changes",
        ],
    );
    finds("FROM scratch AS a\nWORKDIR /app\nFROM a AS b\nWORKDIR subdir/", &[]);
    finds("FROM scratch\n# check=skip=WorkdirRelativePath\nWORKDIR app/", &[]);
}

#[test]
fn undefined_var() {
    for text in [
        "FROM scratch\nARG foo\nCOPY Dockerfile${foo} .",
        "FROM alpine AS base\nARG foo=Dockerfile\nFROM base\nCOPY $foo .",
        "FROM alpine\nRUN echo $ANY",
        "FROM alpine\nENV PATH=$PATH:/x",
        "FROM alpine\nENV a=1\nLABEL b=$a",
        "FROM alpine\nARG a=1 b=$a",
        "FROM alpine\nEXPOSE $ports",
    ] {
        finds(text, &[]);
    }
    finds(
        "FROM alpine\nCOPY $foo .\nARG foo=bar\nRUN echo $foo",
        &["2 UndefinedVar: Usage of undefined variable '$foo'"],
    );
    finds(
        "FROM alpine\nARG DIR_BINARIES=a DIR_ASSETS=b DIR_CONFIG=c\nCOPY $DIR_ASSET .",
        &["3 UndefinedVar: Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?)"],
    );
    finds(
        "FROM alpine\nENV PATH=$PAHT:/tmp/bin",
        &["2 UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?)"],
    );
    finds(
        "FROM alpine\nCOPY <<E /a\n$nobody\nE\nARG a=$b\nRUN --mount=type=cache,target=/$c x",
        &[
            "2 UndefinedVar: Usage of undefined variable '$nobody'",
            "5 UndefinedVar: Usage of undefined variable '$b'",
            "6 UndefinedVar: Usage of undefined variable '$c'",
        ],
    );
}

#[test]
fn nothing_is_said_about_variables_that_an_unknown_base_may_set() {
    let file = parse(b"FROM alpine\nWORKDIR $HOME\nFROM scratch\nWORKDIR $HOME").unwrap();
    let platform: Platform = "linux/amd64".parse().unwrap();
    let none = BTreeMap::new();
    let given = Given { build: &platform, target: &platform, stage: None, arguments: &none };
    let found = check(&file, &Context { given, base: &|_| None, ignore: None });
    let undefined: Vec<usize> = found
        .iter()
        .filter(|finding| finding.rule == Rule::UndefinedVar)
        .map(|finding| finding.span.start)
        .collect();
    assert_eq!(undefined, [4]);
}

#[test]
fn multiple_instructions_disallowed() {
    let off = |line, word| {
        format!(
            "{line} MultipleInstructionsDisallowed: Multiple {word} instructions should not be used in the same stage \
             because only the last one will be used"
        )
    };
    finds(
        "FROM scratch\nENTRYPOINT [\"/a\"]\nENTRYPOINT [\"/b\"]\nCMD [\"/a\"]\nCMD [\"/b\"]\nHEALTHCHECK CMD [\"/a\"]\n\
         COPY a b\nHEALTHCHECK CMD [\"/b\"]",
        &[&off(2, "ENTRYPOINT"), &off(4, "CMD"), &off(6, "HEALTHCHECK")],
    );
    finds("FROM scratch AS a\nCMD [\"/a\"]\nFROM a AS b\nCMD [\"/b\"]", &[]);
}

#[test]
fn legacy_key_value_format() {
    finds(
        "FROM scratch\nENV testkey value\nLABEL name value",
        &[
            "2 LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format",
            "3 LegacyKeyValueFormat: \"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format",
        ],
    );
    finds("FROM scratch\nENV testkey=value\nLABEL name=value", &[]);
    finds("FROM scratch\n# check=skip=LegacyKeyValueFormat\nENV testkey value", &[]);
}

#[test]
fn redundant_target_platform_and_constant_platforms() {
    for written in ["$TARGETPLATFORM", "${TARGETPLATFORM}"] {
        let finding = format!(
            "1 RedundantTargetPlatform: Setting platform to predefined {written} in FROM is redundant as this is the \
             default behavior"
        );
        finds(&format!("FROM --platform={written} scratch"), &[&finding]);
    }
    finds(
        "FROM --platform=linux/amd64 scratch",
        &[
            "1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value \"linux/amd64\"",
        ],
    );
    finds("FROM --platform=linux/amd64 scratch AS my_amd64_stage", &[]);
    finds("FROM --platform=linux/amd64 scratch AS linux", &[]);
}

#[test]
fn secrets_used_in_arg_or_env() {
    let text = "FROM scratch\nARG SECRET_PASSPHRASE\nENV SUPER_Secret=foo\nENV password=bar secret=baz\nENV apikey=bar sunflower=foo\n\
                ENV PUBLIC_KEY= AUTH_MODULE_VERSION=1 password_file=x\nARG public_token\n\
                # check=skip=SecretsUsedInArgOrEnv // allowed\nENV git_key=1\n# check=skip=all\nARG auth";
    let off = |line, keyword, name| {
        format!(
            "{line} SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data ({keyword} {name:?})"
        )
    };
    finds(
        text,
        &[
            &off(2, "ARG", "SECRET_PASSPHRASE"),
            &off(3, "ENV", "SUPER_Secret"),
            &off(4, "ENV", "password"),
            &off(4, "ENV", "secret"),
            &off(5, "ENV", "apikey"),
        ],
    );
}

#[test]
fn invalid_default_arg_in_from() {
    for (text, given, base) in [
        ("ARG VERSION\nFROM busybox:$VERSION", ("VERSION", "latest"), "busybox:$VERSION"),
        ("ARG IMAGE\nFROM $IMAGE", ("IMAGE", "busybox:latest"), "$IMAGE"),
        ("ARG SFX=\"box:\"\nFROM busy${SFX}", ("SFX", "box:latest"), "busy${SFX}"),
    ] {
        let finding = format!(
            "2 InvalidDefaultArgInFrom: Default value for ARG {base} results in empty or invalid base image name"
        );
        assert_eq!(findings_with(text, &[given], None), [finding]);
    }
    for text in [
        "ARG VERSION=\"latest\"\nFROM busybox:${VERSION}",
        "ARG V=\"\"\nFROM busybox:stable${V}",
        "ARG V\nFROM busybox:stable${V}",
    ] {
        assert_eq!(findings_with(text, &[("V", "-musl")], None), [""; 0], "{text}");
    }
}

#[test]
fn copy_ignored_file() {
    let found = |text: &str, ignore: &str| {
        findings_with(text, &[], Some(&Patterns::parse(ignore.as_bytes()).unwrap()))
    };
    let off = |line, word, name| {
        format!(
            "{line} CopyIgnoredFile: Attempting to {word} file {name:?} that is excluded by .dockerignore"
        )
    };
    let text =
        "FROM scratch\nCOPY Dockerfile .\nADD ./Dockerfile /windy\nADD https://x/Dockerfile /y";
    assert_eq!(
        found(text, "Dockerfile"),
        [off(2, "Copy", "Dockerfile"), off(3, "Add", "Dockerfile")]
    );
    assert_eq!(found(text, "Dockerfile\n!x"), [""; 0]);
    assert_eq!(found("FROM scratch\nCOPY . /", "Dockerfile"), [""; 0]);
    assert_eq!(found("FROM scratch\nCOPY . /", "*"), [off(2, "Copy", ".")]);
    assert_eq!(found("FROM a AS a\nFROM scratch\nCOPY --from=a Dockerfile /", "*"), [""; 0]);
}

#[test]
fn invalid_definition_description() {
    finds("# bar this is the bar\nARG foo=bar\nFROM scratch", &[]);
    let off = |line, keyword, name| {
        format!(
            "{line} InvalidDefinitionDescription: Comment for {keyword} should follow the format: `# {name} <description>`"
        )
    };
    finds(
        "# check=experimental=InvalidDefinitionDescription\n# bar this is the bar\nARG foo=bar\n# BasE this is the BasE image\n\
         FROM scratch AS base\n# definitely a bad comment\nARG version=latest\n# definitely a bad comment\n\
         ARG foo=baz bar=qux baz=quux\n",
        &[
            &off(3, "ARG", "foo"),
            &off(5, "FROM", "base"),
            &off(7, "ARG", "version"),
            &off(9, "ARG", "<arg_key>"),
        ],
    );
    finds(
        "# check=skip=all;experimental=InvalidDefinitionDescription\n# foo this is the foo\nARG foo=bar\n\n# base this is the \
         base image\nFROM scratch AS base\n\n# baz this is the baz\nARG foo=baz bar=qux baz=quux\n# nothing\n#\nARG bit=bat\n\n\
         # comment for something other than ARG or FROM\nCOPY Dockerfile .\n",
        &[],
    );
}

#[test]
fn expose_proto_casing_and_invalid_format() {
    finds(
        "FROM scratch\nEXPOSE 80/TcP 8080/TCP 8080/udp",
        &[
            "2 ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase",
            "2 ExposeProtoCasing: Defined protocol '8080/TCP' in EXPOSE instruction should be lowercase",
        ],
    );
    let off = |word| {
        format!(
            "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
        )
    };
    finds(
        "FROM scratch\nEXPOSE 127.0.0.1:80:80 [::1]:8080:8080 5000:5000 8000",
        &[&off("127.0.0.1:80:80"), &off("5000:5000"), &off("[::1]:8080:8080")],
    );
}

#[test]
fn rules_are_skipped_and_fail_the_build_as_the_file_says() {
    let body = "FROM scratch as base\nENV a b\n";
    for (directive, expected) in [
        ("", vec![Rule::FromAsCasing, Rule::LegacyKeyValueFormat]),
        ("# check=skip=all\n", vec![]),
        ("# check=skip=FromAsCasing\n", vec![Rule::LegacyKeyValueFormat]),
        ("# check=skip=FromAsCasing,LegacyKeyValueFormat;error=true\n", vec![]),
        ("# check=error=true\n", vec![Rule::FromAsCasing, Rule::LegacyKeyValueFormat]),
    ] {
        let file = parse(format!("{directive}{body}").as_bytes()).unwrap();
        let platform: Platform = "linux/amd64".parse().unwrap();
        let none = BTreeMap::new();
        let given = Given { build: &platform, target: &platform, stage: None, arguments: &none };
        let found = check(&file, &Context { given, base: &|_| None, ignore: None });
        assert_eq!(found.iter().map(|f| f.rule).collect::<Vec<_>>(), expected, "{directive}");
        let fails = directive.contains("error=true") && !expected.is_empty();
        let message = "lint violation found for rules: FromAsCasing, LegacyKeyValueFormat";
        assert_eq!(violation(&file, &found).as_deref(), fails.then_some(message), "{directive}");
    }
}

#[test]
fn rules_have_names_of_their_own_and_are_documented() {
    let names: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(names.len(), Rule::ALL.len());
    for rule in Rule::ALL {
        assert!(!rule.description().is_empty());
        let squeezed: String = rule.name().to_lowercase();
        let address = rule.url();
        let last = address.trim_end_matches('/').rsplit('/').next().unwrap().replace('-', "");
        assert_eq!(squeezed, last, "{address}");
    }
    assert_eq!(Rule::ALL.iter().filter(|rule| rule.is_experimental()).count(), 1);
}

#[test]
fn a_file_of_five_thousand_stages_is_checked_at_once() {
    let mut text = String::from("FROM scratch AS s0\nENV A=1\n");
    for number in 1..5_000 {
        text += &format!("FROM s{} AS s{number}\nENV B{number}=$A\n", number - 1);
    }
    assert_eq!(findings_with(&text, &[], None), [""; 0]);
}
