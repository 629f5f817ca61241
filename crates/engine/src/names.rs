//! Pure: names of containers: which are allowed, and where one comes from when nobody gave one.

use naru_errdefs::Fault;

/// The longest name that is taken.
const LONGEST: usize = 255;

/// Checks a name that somebody gave; one slash before it is taken off, as Docker does.
pub(crate) fn parse(name: &str) -> Result<&str, Fault> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let mut characters = bare.chars();
    let first = characters.next().is_some_and(|first| first.is_ascii_alphanumeric());
    let mut rest = characters.clone();
    let good = first
        && characters.next().is_some()
        && rest.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if !good {
        return Err(Fault::invalid(format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        ))
        .with_hint("a name has at least two characters and starts with a letter or a digit"));
    }
    if bare.len() > LONGEST {
        return Err(Fault::invalid(format!(
            "Invalid container name: it has {} characters, at most {LONGEST} are allowed",
            bare.len()
        )));
    }
    Ok(bare)
}

/// A name out of a random number; from the second attempt on with a digit, so that there is always one to be had.
pub(crate) fn generate(random: u64, attempt: u32) -> String {
    let pick = |list: &'static [&'static str], number: u64| {
        let length = u64::try_from(list.len()).unwrap_or(1);
        let index = usize::try_from(number % length).unwrap_or(0);
        list.get(index).copied().unwrap_or("plain")
    };
    let adjective = pick(&ADJECTIVES, random);
    let surname = pick(&SURNAMES, random >> 20);
    match attempt {
        0 => format!("{adjective}_{surname}"),
        attempt => format!(
            "{adjective}_{surname}{}",
            (random >> 40).wrapping_add(u64::from(attempt)) % 10_000
        ),
    }
}

const ADJECTIVES: [&str; 64] = [
    "able", "agile", "ample", "apt", "avid", "blithe", "bold", "brave", "brief", "bright", "brisk",
    "calm", "candid", "cheery", "civil", "clear", "clever", "cosy", "crisp", "curious", "daring",
    "deft", "eager", "early", "earnest", "easy", "exact", "fair", "fleet", "fond", "frank",
    "fresh", "gentle", "glad", "grand", "handy", "hardy", "honest", "jolly", "keen", "kind",
    "light", "lively", "lucid", "mellow", "merry", "modest", "neat", "nimble", "noble", "patient",
    "plucky", "prompt", "quick", "quiet", "ready", "sharp", "steady", "sunny", "swift", "tidy",
    "vivid", "warm", "witty",
];

// People who carried things over water, found ways, or made machines that others could trust.
const SURNAMES: [&str; 64] = [
    "amundsen",
    "anning",
    "archimedes",
    "baret",
    "battuta",
    "beaufort",
    "bering",
    "brunel",
    "cabral",
    "clarke",
    "cook",
    "curie",
    "dias",
    "dijkstra",
    "ekman",
    "engelbart",
    "erikson",
    "faraday",
    "fitzroy",
    "franklin",
    "fulton",
    "galois",
    "gauss",
    "germain",
    "goddard",
    "hamilton",
    "harrison",
    "henson",
    "hopper",
    "hudson",
    "hypatia",
    "jemison",
    "johnson",
    "kepler",
    "kovalevskaya",
    "lamarr",
    "leavitt",
    "lovelace",
    "magellan",
    "maury",
    "meitner",
    "mercator",
    "mitchell",
    "nansen",
    "noether",
    "pascal",
    "perlman",
    "piccard",
    "ride",
    "ross",
    "sacagawea",
    "shackleton",
    "somerville",
    "stevin",
    "tasman",
    "tharp",
    "torricelli",
    "turing",
    "vespucci",
    "volta",
    "watt",
    "yi",
    "zheng",
    "zuse",
];

#[cfg(test)]
mod tests {
    use super::{generate, parse};

    #[test]
    fn only_docker_names_are_taken() {
        for good in ["web", "/web", "a1", "A.b_c-d", "0x"] {
            assert_eq!(parse(good).unwrap(), good.trim_start_matches('/'), "{good}");
        }
        let long = "a".repeat(256);
        for bad in ["", "/", "a", "-ab", ".ab", "a b", "a/b", "//ab", "ä1", &long] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            parse("a b").unwrap_err().message(),
            "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        );
    }

    #[test]
    fn a_generated_name_is_a_good_one() {
        for random in [0, 1, 63, u64::MAX, 0x1234_5678_9abc_def0] {
            for attempt in 0..3 {
                let name = generate(random, attempt);
                assert_eq!(parse(&name).unwrap(), name);
            }
        }
    }
}
