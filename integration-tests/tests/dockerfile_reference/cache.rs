//! What is said of the cache: which steps another build finds, and which it makes anew.

use integration_tests::{Daemon, run};

struct Twice {
    name: &'static str,
    first: (&'static str, &'static [&'static str]),
    second: (&'static str, &'static [&'static str]),
    /// Steps of the second build by a part of their line, and whether they are cached.
    steps: &'static [(&'static str, bool)],
}

const ALL: &[Twice] = &[
    Twice {
        name: "RUN is cached",
        first: ("FROM box\nRUN echo 1\n", &[]),
        second: ("FROM box\nRUN echo 1\n", &[]),
        steps: &[("RUN echo 1", true)],
    },
    Twice {
        name: "--no-cache makes RUN anew",
        first: ("FROM box\nRUN echo 2\n", &[]),
        second: ("FROM box\nRUN echo 2\n", &["--no-cache"]),
        steps: &[("RUN echo 2", false)],
    },
    Twice {
        name: "ADD and COPY of other files make RUN anew",
        first: ("FROM box\nCOPY one /f\nRUN echo 3\n", &[]),
        second: ("FROM box\nCOPY two /f\nRUN echo 3\n", &[]),
        steps: &[("COPY", false), ("RUN echo 3", false)],
    },
    Twice {
        name: "COPY of the same content is cached whatever its time",
        first: ("FROM box\nCOPY one /f\nRUN echo 4\n", &[]),
        second: ("FROM box\nCOPY same /f\nRUN echo 4\n", &[]),
        steps: &[("RUN echo 4", true)],
    },
    Twice {
        name: "ARG with another value makes what follows anew",
        first: ("FROM box\nARG V\nRUN echo 5\n", &["--build-arg", "V=1"]),
        second: ("FROM box\nARG V\nRUN echo 5\n", &["--build-arg", "V=2"]),
        steps: &[("RUN echo 5", false)],
    },
    Twice {
        name: "ARG that is not used yet makes nothing anew",
        first: ("FROM box\nRUN echo 6\nARG V\n", &["--build-arg", "V=1"]),
        second: ("FROM box\nRUN echo 6\nARG V\n", &["--build-arg", "V=2"]),
        steps: &[("RUN echo 6", true)],
    },
    Twice {
        name: "ENV over ARG makes nothing anew",
        first: ("FROM box\nARG V\nENV V=hello\nRUN echo 7\n", &["--build-arg", "V=1"]),
        second: ("FROM box\nARG V\nENV V=hello\nRUN echo 7\n", &["--build-arg", "V=2"]),
        steps: &[("RUN echo 7", true)],
    },
    Twice {
        name: "ENV of ARG makes what follows anew",
        first: ("FROM box\nARG V\nENV W=$V\nRUN echo 8\n", &["--build-arg", "V=1"]),
        second: ("FROM box\nARG V\nENV W=$V\nRUN echo 8\n", &["--build-arg", "V=2"]),
        steps: &[("RUN echo 8", false)],
    },
    Twice {
        name: "proxies are not part of the key",
        first: ("FROM box\nRUN echo 9\n", &["--build-arg", "HTTP_PROXY=one"]),
        second: ("FROM box\nRUN echo 9\n", &["--build-arg", "HTTP_PROXY=two"]),
        steps: &[("RUN echo 9", true)],
    },
    Twice {
        name: "proxies with ARG are",
        first: ("FROM box\nARG HTTP_PROXY\nRUN echo 10\n", &["--build-arg", "HTTP_PROXY=one"]),
        second: ("FROM box\nARG HTTP_PROXY\nRUN echo 10\n", &["--build-arg", "HTTP_PROXY=two"]),
        steps: &[("RUN echo 10", false)],
    },
    Twice {
        name: "what is in a cache mount is not part of the key",
        first: ("FROM box\nRUN --mount=type=cache,target=/c date +%N > /c/x\n", &[]),
        second: ("FROM box\nRUN --mount=type=cache,target=/c date +%N > /c/x\n", &[]),
        steps: &[("RUN --mount", true)],
    },
    Twice {
        name: "a bind with other files makes RUN anew",
        first: ("FROM box\nRUN --mount=source=one,target=/c echo 12\n", &[]),
        second: ("FROM box\nRUN --mount=source=two,target=/c echo 12\n", &[]),
        steps: &[("RUN --mount", false)],
    },
    Twice {
        name: "COPY --link is cached whatever is below",
        first: ("FROM box\nRUN echo 13 > /x\nCOPY --link one /f\n", &[]),
        second: ("FROM box\nRUN echo 14 > /x\nCOPY --link one /f\n", &[]),
        steps: &[("RUN echo 14", false), ("COPY --link", true)],
    },
    Twice {
        name: "COPY --from with --link is cached when the stage makes the same files",
        first: (
            "FROM box AS a\nRUN echo 15 > /x; echo same > /s\nFROM box\nCOPY --link --from=a /s /s\n",
            &[],
        ),
        second: (
            "FROM box AS a\nRUN echo 16 > /x; echo same > /s\nFROM box\nCOPY --link --from=a /s /s\n",
            &[],
        ),
        steps: &[("RUN echo 16", false), ("COPY --link", true)],
    },
];

/// Builds each twice.
#[track_caller]
pub fn check() {
    let daemon = Daemon::start().with_busybox("box");
    let mut bad = Vec::new();
    for (number, twice) in ALL.iter().enumerate() {
        let dir = daemon.dir().join(format!("c{number}"));
        std::fs::create_dir(&dir).expect("a directory");
        for (name, content) in [("one", "1"), ("two", "2"), ("same", "1")] {
            std::fs::write(dir.join(name), content).expect("a file");
        }
        let build = |(file, flags): (&str, &[&str])| {
            std::fs::write(dir.join("Dockerfile"), file).expect("a file");
            let mut command =
                daemon.command(&["build", "--network", "none", "--progress", "plain"]);
            run(command.args(flags).arg(&dir).env("XDG_CACHE_HOME", daemon.dir().join("cache")))
                .ok()
        };
        build(twice.first);
        let again = build(twice.second);
        for (part, cached) in twice.steps {
            let mut lines = again.stderr.lines();
            let id = lines.find(|line| line.contains(part)).and_then(|line| line.split(' ').next());
            let id = id.unwrap_or("no such step");
            let found = again.stderr.lines().any(|line| line == format!("{id} CACHED"));
            if found != *cached {
                bad.push(format!("{}: `{part}` cached: {found}\n{}", twice.name, again.stderr));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
