//! Dockerfiles.

use super::{build, context, daemon, is_well};
use std::time::{Duration, Instant};

#[test]
fn dockerfiles_out_of_all_proportion_are_answered_at_once() {
    let daemon = daemon();
    let long_comment = format!("FROM box\n#{}\nENV A=b\n", "x".repeat(10 << 20));
    let many_lines = format!("FROM box\n{}", "ENV A=b\n".repeat((10 << 20) / 8));
    let endless = format!("FROM box\nRUN echo {}", "x".repeat(10 << 20));
    let continued = format!("FROM box\nENV A=b{}", " \\\n".repeat(3 << 20));
    let heredoc = format!("FROM box\nCOPY <<EOF /x\n{}", "text\n".repeat(2 << 20));
    let twice = format!("FROM box\n#{}\n", "x".repeat(17 << 20));
    for (number, (text, code, says)) in [
        (long_comment, 1, "line 2: dockerfile line greater than max allowed size of 65535"),
        (many_lines, 1, "1310721 instructions, and at most 20000 are carried out"),
        (endless, 1, "line 2: dockerfile line greater than max allowed size of 65535"),
        (continued, 0, ""),
        (heredoc, 1, "unterminated heredoc"),
        (twice, 1, "16"),
    ]
    .into_iter()
    .enumerate()
    {
        let dir = context(&daemon, &format!("f{number}"), &[("Dockerfile", &text)]);
        let since = Instant::now();
        let done = build(&daemon, &["-q"], &dir);
        let took = since.elapsed();
        let start = |text: &str| text.chars().take(2000).collect::<String>();
        assert!(
            done.code == code && done.stderr.contains(says),
            "{number}: {} {} {}",
            done.code,
            start(&done.stdout),
            start(&done.stderr)
        );
        assert!(done.stderr.len() < 20_000, "{number}: {} bytes are said", done.stderr.len());
        assert!(took < Duration::from_secs(60), "{number} took {took:?}");
    }
    is_well(&daemon);
}

#[test]
fn what_is_no_dockerfile_is_said_with_its_place() {
    let daemon = daemon();
    let busybox = std::fs::read("/bin/busybox").expect("Debian's package busybox-static");
    let dir = context(&daemon, "junk", &[]);
    std::fs::write(dir.join("Dockerfile"), busybox.get(..300_000).expect("it is larger"))
        .expect("a file");
    let done = build(&daemon, &[], &dir);
    assert!(done.code == 1 && done.stderr.contains("on line 1"), "{done:?}");
    assert!(!done.stderr.contains('\0') && !done.stderr.contains('\u{1b}'), "{done:?}");
    assert!(done.stderr.len() < 5000, "{done:?}");
    let mut wrong = Vec::new();
    for (text, says) in [
        (
            "FROM box\nRUNN echo x\n",
            &["unknown instruction: RUNN", "RUN?", "Dockerfile:2", "RUNN echo x"][..],
        ),
        ("FROM box\nCOPPY a b\n", &["COPY"]),
        ("FORM box\n", &["FROM"]),
        ("FROM box AS a\nCOPY --from=b /x /x\nFROM box AS b\nCOPY --from=a /x /x\n", &["circular"]),
        ("FROM box AS a\nCOPY --from=a /x /x\n", &["circular"]),
        ("FROM box AS a\nRUN --mount=from=b,target=/b true\nFROM a AS b\n", &["circular"]),
        ("FROM box\nCOPY --from=5 /x /x\n", &["5"]),
        ("FROM box\nCOPY --form=a /x /x\n", &["--form", "did you mean from?"]),
        ("FROM box\nCOPY a\n", &["COPY", "Dockerfile:2"]),
        ("FROM box\nENV\n", &["ENV"]),
        ("FROM box\nUSER nobody-here\nRUN true\n", &["nobody-here"]),
        ("FROM box\nRUN [\"/no/such\"]\n", &["/no/such"]),
        ("FROM box\nSHELL [\"/no/shell\", \"-c\"]\nRUN true\n", &["/no/shell"]),
        ("FROM box\nEXPOSE 99999\n", &["99999"]),
        ("FROM $NOTHING\n", &["base name"]),
        ("# escape=x\nFROM box\n", &["escape"]),
        ("FROM box\nRUN --mount=type=nonsense true\n", &["nonsense"]),
        ("FROM box\nRUN --mount=type=secret,id=none,required=true true\n", &["none"]),
        ("FROM box\nADD --checksum=sha256:00 http://192.0.2.1/x /x\n", &["checksum"]),
    ] {
        let dir = context(&daemon, "text", &[("Dockerfile", text)]);
        let done = build(&daemon, &[], &dir);
        if done.code != 1 || says.iter().any(|word| !done.stderr.contains(word)) {
            wrong.push(format!("{text}wanted: {says:?}\n{}: {}", done.code, done.stderr));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    is_well(&daemon);
}

#[test]
fn five_thousand_stages_are_built_or_left_alone() {
    let daemon = daemon();
    let mut chain = String::from("FROM box AS s0\nENV N=0\n");
    for number in 1..5000 {
        chain.push_str(&format!("FROM s{} AS s{number}\nENV N={number}\n", number - 1));
    }
    let dir = context(&daemon, "chain", &[("Dockerfile", &chain)]);
    let since = Instant::now();
    build(&daemon, &["-q", "-t", "chain"], &dir).ok();
    println!("a chain of 5,000 took {:?}", since.elapsed());
    let env = daemon.naru(&["inspect", "-f", "{{.Config.Env}}", "chain"]).ok();
    assert!(env.stdout.contains("N=4999"), "{env:?}");
    // All but two are of no use to the last one, and would fail.
    let mut wide = String::from("FROM box AS s0\nRUN echo first > /first\n");
    for number in 1..4999 {
        wide.push_str(&format!("FROM box AS s{number}\nRUN exit {number}\n"));
    }
    wide.push_str("FROM s0\nCOPY --from=s0 /first /second\n");
    let dir = context(&daemon, "wide", &[("Dockerfile", &wide)]);
    let since = Instant::now();
    build(&daemon, &["-q"], &dir).ok();
    println!("a file of 5,000 took {:?}", since.elapsed());
    is_well(&daemon);
}

#[test]
fn a_base_of_another_platform_is_said_to_be_one() {
    let daemon = daemon();
    let arm = ["import", "--platform", "linux/arm64", "-", "arm"];
    daemon.naru_with_input(&arm, &integration_tests::image::busybox_tar()).ok();
    let dir = context(&daemon, "c", &[("Dockerfile", "FROM arm\nRUN true\n")]);
    let done = build(&daemon, &["--pull=false"], &dir);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.stderr.contains("linux/arm64") && done.stderr.contains("linux/amd64"),
        "{}",
        done.stderr
    );
    // Where nothing has to run, it is as good as any other.
    let dir = context(&daemon, "d", &[("Dockerfile", "FROM arm\nCOPY <<x /x\ntext\nx\n")]);
    build(&daemon, &["--platform", "linux/arm64", "-t", "made"], &dir).ok();
    let made = daemon.naru(&["inspect", "-f", "{{.Architecture}}", "made"]).ok();
    assert_eq!(made.text(), "arm64");
}
