//! What is built: contexts with their Dockerfiles. Acts: writes them.

use crate::bench::peers::IMAGE;
use crate::bench::report::{write, write_bytes};
use std::path::Path;

/// One thing that is measured.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    /// How many times faster than docker it must be.
    pub bar: f64,
    /// Whether nothing is taken from the cache.
    pub anew: bool,
    /// Whether a source file changes every round.
    pub changes: bool,
    /// The most rounds.
    pub rounds: usize,
    pub fill: fn(&Path) -> Result<(), String>,
}

/// All of them.
pub fn all() -> Vec<Case> {
    let usual = Case {
        name: "nothing cached, 8 steps",
        bar: 3.0,
        anew: true,
        changes: false,
        rounds: 10,
        fill: service,
    };
    vec![
        Case { name: "all cached, 8 steps", bar: 10.0, anew: false, ..usual },
        Case { name: "one source file changed", anew: false, changes: true, ..usual },
        Case {
            name: "50 small COPY and RUN steps, nothing cached",
            rounds: 3,
            fill: steps,
            ..usual
        },
        Case { name: "8 independent stages, nothing cached", rounds: 3, fill: stages, ..usual },
        Case { name: "a context of 50,000 files, nothing cached", rounds: 2, fill: many, ..usual },
        Case {
            name: "a context of 50,000 files, all cached",
            rounds: 2,
            anew: false,
            bar: 10.0,
            fill: many,
            ..usual
        },
        Case {
            name: "a context of one file of 1 GB, nothing cached",
            rounds: 2,
            fill: large,
            ..usual
        },
        usual,
    ]
}

fn dockerfile(context: &Path, text: &str) -> Result<(), String> {
    write(&context.join("Dockerfile"), &format!("FROM {IMAGE}\n{text}"))
}

fn sources(context: &Path) -> Result<(), String> {
    let src = context.join("src");
    std::fs::create_dir_all(&src).map_err(|error| error.to_string())?;
    write(&src.join("main.c"), "int main() { return 0; }\n")?;
    (0..20).try_for_each(|number| {
        write(&src.join(format!("part{number}.c")), &format!("int part{number};\n").repeat(100))
    })
}

fn service(context: &Path) -> Result<(), String> {
    sources(context)?;
    dockerfile(
        context,
        "ENV A=1\nWORKDIR /srv\nRUN mkdir -p /srv/out && echo base > /srv/out/base\nCOPY src /srv/src\nRUN cat src/*.c > out/all\nRUN wc -l out/all > out/count\nCOPY src/main.c /srv/main.c\nRUN echo done > /srv/done\nCMD [\"cat\", \"/srv/done\"]\n",
    )
}

fn steps(context: &Path) -> Result<(), String> {
    sources(context)?;
    let pairs: String = (0..25)
        .map(|number| {
            format!(
                "COPY src/part{} /f{number}\nRUN echo {number} > /r{number}\n",
                format_args!("{}.c", number % 20)
            )
        })
        .collect();
    dockerfile(context, &pairs)
}

fn stages(context: &Path) -> Result<(), String> {
    let mut text = String::from("RUN true\n");
    for number in 0..8 {
        text.push_str(&format!(
            "FROM {IMAGE} AS s{number}\nRUN dd if=/dev/zero bs=1M count=60 2>/dev/null | md5sum > /sum{number}\n"
        ));
    }
    text.push_str(&format!("FROM {IMAGE}\n"));
    for number in 0..8 {
        text.push_str(&format!("COPY --from=s{number} /sum{number} /\n"));
    }
    dockerfile(context, &text)
}

fn many(context: &Path) -> Result<(), String> {
    for directory in 0..500 {
        let path = context.join(format!("files/{directory:03}"));
        std::fs::create_dir_all(&path).map_err(|error| error.to_string())?;
        for number in 0..100 {
            write(
                &path.join(format!("{number:02}.txt")),
                &format!("{directory} {number}\n").repeat(20),
            )?;
        }
    }
    dockerfile(context, "COPY files /files\nRUN echo done > /done\n")
}

fn large(context: &Path) -> Result<(), String> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(1 << 30);
    while bytes.len() < 1 << 30 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    write_bytes(&context.join("large.bin"), &bytes)?;
    dockerfile(context, "COPY large.bin /large.bin\n")
}
