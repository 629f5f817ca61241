//! Pure: `--ulimit NAME=SOFT[:HARD]`.

use super::OptError;

/// A limit of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// Lower case, without `RLIMIT_`.
    pub name: String,
    /// What the process starts with; -1 is unlimited.
    pub soft: i64,
    /// How far the process may go; -1 is unlimited.
    pub hard: i64,
}

const NAMES: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// A limit.
pub fn parse(text: &str) -> Result<Ulimit, OptError> {
    let hint = "write it as in `nofile=1024:2048`, or `nofile=1024` for both";
    let Some((name, limits)) = text.split_once('=') else {
        return Err(OptError::new(format!("invalid ulimit argument: {text}")).with_hint(hint));
    };
    if !NAMES.contains(&name) {
        return Err(OptError::new(format!("invalid ulimit type: {name}"))
            .with_hint(format!("the limits are {}", NAMES.join(", "))));
    }
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| -> Result<i64, OptError> {
        crate::flags::go_int(text).map_err(|error| error.with_hint(hint))
    };
    let (soft, hard) = (number(soft)?, number(hard)?);
    if hard != -1 && (soft > hard || soft == -1) {
        return Err(OptError::new(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        )));
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

#[cfg(test)]
mod tests {
    use super::Ulimit;
    use crate::opts::tests::check;

    #[test]
    fn limits() {
        let limit = |name: &str, soft, hard| Ulimit { name: name.to_owned(), soft, hard };
        check(
            super::parse,
            &[
                ("nofile=512:1024", limit("nofile", 512, 1024)),
                ("nofile=512", limit("nofile", 512, 512)),
                ("core=-1", limit("core", -1, -1)),
                ("core=5:-1", limit("core", 5, -1)),
            ],
            &[
                ("512:1024", "invalid ulimit argument: 512:1024"),
                ("what=1", "invalid ulimit type: what"),
                ("nofile=a", "strconv.ParseInt: parsing \"a\": invalid syntax"),
                ("nofile=1:b", "parsing \"b\""),
                ("nofile=9:1", "9 > 1"),
                ("nofile=-1:1", "-1 > 1"),
                ("nofile=", "parsing \"\""),
            ],
        );
    }
}
