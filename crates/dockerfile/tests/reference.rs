//! What the Dockerfile reference promises about the language itself, sentence by sentence.

#[cfg(test)]
mod reference {
    use naru_dockerfile::ignore::Patterns;
    use naru_dockerfile::{
        Command, Dockerfile, Escape, Expander, Given, Globals, Instruction, Scope, exposed, parse,
    };
    use naru_oci::Platform;
    use std::collections::BTreeMap;

    fn file(text: &str) -> Dockerfile {
        parse(text.as_bytes())
            .unwrap_or_else(|problems| panic!("{}", problems.render("Dockerfile")))
    }

    fn texts(text: &str) -> Vec<String> {
        file(text).stages.remove(0).steps.into_iter().map(|statement| statement.text).collect()
    }

    fn expand(variables: &[(&str, &str)], word: &str) -> String {
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Expander::new(Escape::Backslash, &lookup).word(word).unwrap()
    }

    #[test]
    fn the_instruction_is_not_case_sensitive() {
        let steps = file("from a\nrun x\nCoPy b c\nENV d=e").stages.remove(0).steps;
        assert!(matches!(steps[0].what, Instruction::Run(_)));
        assert!(matches!(steps[1].what, Instruction::Copy(_)));
        assert!(matches!(steps[2].what, Instruction::Env(_)));
    }

    #[test]
    fn a_dockerfile_must_begin_with_a_from_instruction_after_directives_comments_and_globally_scoped_args()
     {
        assert_eq!(file("# syntax=x\n# comment\n\nARG A=1\n# comment\nFROM a").stages.len(), 1);
        assert!(parse(b"# comment\nENV a=1\nFROM a").is_err());
    }

    #[test]
    fn a_hash_anywhere_else_in_a_line_is_treated_as_an_argument() {
        assert_eq!(
            texts("FROM a\n# Comment\nRUN echo 'we are running some # of cool things'"),
            ["RUN echo 'we are running some # of cool things'"]
        );
    }

    #[test]
    fn comment_lines_are_removed_before_instructions_are_executed() {
        assert_eq!(
            texts("FROM a\nRUN echo hello \\\n# comment\nworld"),
            texts("FROM a\nRUN echo hello \\\nworld")
        );
    }

    #[test]
    fn comments_do_not_support_line_continuation_characters() {
        assert_eq!(texts("FROM a\n# this is \\\nRUN x"), ["RUN x"]);
    }

    #[test]
    fn leading_whitespace_before_comments_and_instructions_is_ignored() {
        let indented =
            "FROM a\n        # this is a comment-line\n    RUN echo hello\nRUN echo world";
        let plain = "FROM a\n# this is a comment-line\nRUN echo hello\nRUN echo world";
        assert_eq!(texts(indented), texts(plain));
    }

    #[test]
    fn whitespace_in_instruction_arguments_is_not_ignored() {
        assert_eq!(
            texts("FROM a\nRUN echo \"\\\n     hello\\\n     world\""),
            ["RUN echo \"     hello     world\""]
        );
    }

    #[test]
    fn a_directive_broken_by_a_line_continuation_is_a_comment() {
        assert_eq!(file("# syntax \\\n#=value\nFROM a").directives.syntax, None);
    }

    #[test]
    fn a_directive_that_appears_twice_is_invalid() {
        assert!(parse(b"# syntax=value1\n# syntax=value2\n\nFROM ImageName").is_err());
    }

    #[test]
    fn a_directive_after_a_builder_instruction_or_a_comment_or_an_unknown_directive_is_a_comment() {
        for text in [
            "FROM a\n# syntax=value",
            "# About my dockerfile\n# syntax=value\nFROM a",
            "# unknowndirective=value\n# syntax=value\nFROM a",
        ] {
            assert_eq!(file(text).directives.syntax, None, "{text}");
        }
    }

    #[test]
    fn non_line_breaking_whitespace_is_permitted_in_a_parser_directive() {
        for line in [
            "#syntax=value",
            "# syntax =value",
            "#\tsyntax= value",
            "# syntax = value",
            "#\t  sYnTaX=value",
        ] {
            let found = file(&format!("{line}\nFROM a")).directives.syntax;
            assert_eq!(found.as_deref(), Some("value"), "{line}");
        }
    }

    #[test]
    fn the_syntax_is_a_version_of_docker_dockerfile_or_a_custom_implementation() {
        for (name, is_ours) in [
            ("docker/dockerfile", true),
            ("docker/dockerfile:1", true),
            ("docker.io/docker/dockerfile:1.7-labs", true),
            ("docker/dockerfile-upstream:master", true),
            ("docker/dockerfile:1@sha256:abc", true),
            ("dockerfile.v0", true),
            ("docker/dockerfile-other", false),
            ("example.com/docker/dockerfile:1", false),
            ("mine", false),
            ("", false),
        ] {
            assert_eq!(naru_dockerfile::is_dockerfile(name), is_ours, "{name}");
        }
    }

    #[test]
    fn with_a_backtick_as_escape_windows_paths_end_as_they_are_written() {
        let text =
            "# escape=`\n\nFROM microsoft/nanoserver\nCOPY testfile.txt c:\\\nRUN dir c:\\\n";
        assert_eq!(texts(text), ["COPY testfile.txt c:\\", "RUN dir c:\\"]);
    }

    #[test]
    fn escaping_is_possible_by_adding_a_backslash_before_the_variable() {
        let foo = [("FOO", "/bar")];
        assert_eq!(expand(&foo, "${FOO}"), "/bar");
        assert_eq!(expand(&foo, "\\$FOO"), "$FOO");
        assert_eq!(expand(&foo, "\\${FOO}"), "${FOO}");
    }

    #[test]
    fn modifiers_set_a_default_or_an_alternative() {
        assert_eq!(expand(&[("v", "set")], "${v:-word} ${v:+word}"), "set word");
        assert_eq!(expand(&[], "${v:-word}${v:+word}"), "word");
        assert_eq!(expand(&[("w", "x")], "${v:-$w}"), "x");
    }

    #[test]
    fn patterns_are_removed_from_the_start_or_the_end_and_replaced() {
        let string = [("s", "foobarbaz")];
        for (word, expected) in [
            ("${s#f*b}", "arbaz"),
            ("${s##f*b}", "az"),
            ("${s%b*}", "foobar"),
            ("${s%%b*}", "foo"),
            ("${s/ba/fo}", "fooforbaz"),
            ("${s//ba/fo}", "fooforfoz"),
        ] {
            assert_eq!(expand(&string, word), expected, "{word}");
        }
    }

    #[test]
    fn the_exec_form_is_parsed_as_a_json_array_so_double_quotes_are_needed() {
        let steps = file(
            "FROM a\nCMD [\"c:\\\\x\", \"y\"]\nCMD ['x', 'y']\nCMD [\"c:\\windows\\system32\"]",
        )
        .stages
        .remove(0)
        .steps;
        let command = |at: usize| match &steps[at].what {
            Instruction::Cmd(command) => command.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(command(0), Command::Exec(vec!["c:\\x".to_owned(), "y".to_owned()]));
        assert_eq!(command(1), Command::Shell("['x', 'y']".to_owned()));
        assert_eq!(command(2), Command::Shell("[\"c:\\windows\\system32\"]".to_owned()));
    }

    #[test]
    fn an_image_can_have_more_than_one_label_on_one_line_or_several() {
        let labels = |text: &str| match file(text).stages.remove(0).steps.remove(0).what {
            Instruction::Label(list) => {
                list.into_iter().map(|p| (p.key, expand(&[], &p.value))).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        let one = labels(
            "FROM a\nLABEL multi.label1=\"value1\" multi.label2=\"value2\" other=\"value3\"",
        );
        let several = labels(
            "FROM a\nLABEL multi.label1=\"value1\" \\\n      multi.label2=\"value2\" \\\n      other=\"value3\"",
        );
        assert_eq!(one, several);
        assert_eq!(
            labels(
                "FROM a\nLABEL description=\"This text illustrates \\\nthat values can span lines.\""
            ),
            [(
                "description".to_owned(),
                "This text illustrates that values can span lines.".to_owned()
            )]
        );
    }

    #[test]
    fn env_takes_quotes_and_backslashes_to_include_spaces() {
        let text = "FROM a\nENV MY_NAME=\"John Doe\" MY_DOG=Rex\\ The\\ Dog \\\n    MY_CAT=fluffy";
        let Instruction::Env(list) = file(text).stages.remove(0).steps.remove(0).what else {
            panic!()
        };
        let values: Vec<String> = list.iter().map(|pair| expand(&[], &pair.value)).collect();
        assert_eq!(values, ["John Doe", "Rex The Dog", "fluffy"]);
    }

    #[test]
    fn the_old_form_of_env_sets_one_variable_whatever_follows() {
        let text = "FROM a\nENV ONE TWO= THREE=world";
        let Instruction::Env(list) = file(text).stages.remove(0).steps.remove(0).what else {
            panic!()
        };
        assert_eq!((list[0].key.as_str(), list[0].value.as_str()), ("ONE", "TWO= THREE=world"));
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn expose_assumes_tcp_when_no_protocol_is_specified() {
        assert_eq!(exposed("80").unwrap().ports, ["80/tcp"]);
        assert_eq!(exposed("80/udp").unwrap().ports, ["80/udp"]);
    }

    #[test]
    fn volume_is_a_json_array_or_a_string_with_multiple_arguments() {
        for text in ["VOLUME [\"/var/log\", \"/var/db\"]", "VOLUME /var/log /var/db"] {
            let step = file(&format!("FROM a\n{text}")).stages.remove(0).steps.remove(0).what;
            assert_eq!(
                step,
                Instruction::Volume(vec!["/var/log".to_owned(), "/var/db".to_owned()])
            );
        }
    }

    /// The scope after the instructions of the last stage.
    fn last_scope(text: &str, given: &[(&str, &str)]) -> Scope {
        let file = file(text);
        let arguments: BTreeMap<String, Option<String>> =
            given.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
        let platform: Platform = "linux/amd64".parse().unwrap();
        let given =
            Given { build: &platform, target: &platform, stage: None, arguments: &arguments };
        let globals = Globals::of(&file, given).unwrap();
        let mut scope = Scope::default();
        for statement in &file.stages.last().unwrap().steps {
            let before = scope.clone();
            let lookup = |name: &str| before.get(name);
            let expander = Expander::new(Escape::Backslash, &lookup);
            match statement.what.expanded(&expander).unwrap() {
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
    }

    #[test]
    fn an_arg_before_a_from_is_outside_of_a_build_stage_until_it_is_declared_inside() {
        let text = "ARG VERSION=latest\nFROM busybox:$VERSION\n";
        assert_eq!(last_scope(text, &[]).get("VERSION"), None);
        let inside = last_scope(&format!("{text}ARG VERSION"), &[]);
        assert_eq!(inside.get("VERSION").as_deref(), Some("latest"));
    }

    #[test]
    fn an_arg_goes_out_of_scope_at_the_end_of_the_build_stage_where_it_was_defined() {
        let text = "FROM busybox\nARG SETTINGS\nRUN ./run/setup $SETTINGS\n\nFROM busybox\n";
        assert_eq!(last_scope(text, &[("SETTINGS", "s")]).get("SETTINGS"), None);
        let again = last_scope(&format!("{text}ARG SETTINGS"), &[("SETTINGS", "s")]);
        assert_eq!(again.get("SETTINGS").as_deref(), Some("s"));
    }

    #[test]
    fn env_values_are_persisted_with_arg_values_as_defaults() {
        let text = "FROM ubuntu\nARG CONT_IMG_VER\nENV CONT_IMG_VER=${CONT_IMG_VER:-v1.0.0}";
        assert_eq!(last_scope(text, &[]).get("CONT_IMG_VER").as_deref(), Some("v1.0.0"));
        let given = last_scope(text, &[("CONT_IMG_VER", "v2.0.1")]);
        assert_eq!(given.get("CONT_IMG_VER").as_deref(), Some("v2.0.1"));
    }

    fn ignored(rules: &str, path: &str) -> bool {
        Patterns::parse(rules.as_bytes()).unwrap().is_ignored(path)
    }

    #[test]
    fn ignore_rules_exclude_files_and_directories_in_subdirectories_of_the_root() {
        let rules = "# comment\n*/temp*\n*/*/temp*\ntemp?\n";
        for (path, left_out) in [
            ("somedir/temporary.txt", true),
            ("somedir/temp", true),
            ("somedir/subdir/temporary.txt", true),
            ("a/b/c/temp", false),
            ("tempa", true),
            ("tempb", true),
            ("temp", false),
            ("tempab", false),
        ] {
            assert_eq!(ignored(rules, path), left_out, "{path}");
        }
    }

    #[test]
    fn two_stars_match_any_number_of_directories_including_zero() {
        for path in ["a.go", "x/a.go", "x/y/z/a.go"] {
            assert!(ignored("**/*.go", path), "{path}");
        }
    }

    #[test]
    fn the_last_line_that_matches_decides_whether_a_file_is_included() {
        let path = "README-secret.md";
        assert!(ignored("*.md\n!README*.md\nREADME-secret.md", path));
        assert!(!ignored("*.md\nREADME-secret.md\n!README*.md", path));
        assert!(!ignored("*.md\n!README.md", "README.md"));
    }

    #[test]
    fn leading_and_trailing_slashes_are_disregarded_so_that_the_root_is_the_root_of_the_context() {
        for rule in ["/foo/bar", "foo/bar", "/foo/bar/", "foo/bar/"] {
            assert!(ignored(rule, "foo/bar"), "{rule}");
            assert!(ignored(rule, "foo/bar/baz"), "{rule}");
            assert!(!ignored(rule, "x/foo/bar"), "{rule}");
        }
    }

    #[test]
    fn everything_but_what_is_excepted_can_be_excluded_with_a_first_star() {
        assert!(ignored("*\n!src\n", "Makefile"));
        assert!(!ignored("*\n!src\n", "src/main.c"));
    }
}
