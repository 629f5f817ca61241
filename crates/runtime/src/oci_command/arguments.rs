//! Pure: the words of a command line to options, as runtimes before us take them: `--name value`, `--name=value`, `-n value`.

use naru_errdefs::Fault;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// An option: long name, short name, whether it takes a value.
type Known = &'static [(&'static str, char, bool)];

/// Before the command.
pub(super) const GLOBAL: Known = &[
    ("root", ' ', true),
    ("log", ' ', true),
    ("log-format", ' ', true),
    ("log-level", ' ', true),
    ("debug", ' ', false),
    ("systemd-cgroup", ' ', false),
    ("cgroup-manager", ' ', true),
    ("rootless", ' ', true),
    ("criu", ' ', true),
    ("version", 'v', false),
    ("help", 'h', false),
];

const CREATE: Known = &[
    ("bundle", 'b', true),
    ("console-socket", ' ', true),
    ("pid-file", ' ', true),
    ("no-pivot", ' ', false),
    ("no-new-keyring", ' ', false),
    ("preserve-fds", ' ', true),
    ("detach", 'd', false),
    ("keep", ' ', false),
    ("no-subreaper", ' ', false),
    ("help", 'h', false),
];

const EXEC: Known = &[
    ("console-socket", ' ', true),
    ("pid-file", ' ', true),
    ("process", 'p', true),
    ("cwd", ' ', true),
    ("env", 'e', true),
    ("tty", 't', false),
    ("user", 'u', true),
    ("additional-gids", 'g', true),
    ("detach", 'd', false),
    ("cap", 'c', true),
    ("no-new-privs", ' ', false),
    ("preserve-fds", ' ', true),
    ("ignore-paused", ' ', false),
    ("no-subreaper", ' ', false),
    ("help", 'h', false),
];

const FORCE: Known = &[("force", 'f', false), ("help", 'h', false)];
const ALL: Known = &[("all", 'a', false), ("help", 'h', false)];
const FORMAT: Known = &[("format", 'f', true), ("quiet", 'q', false), ("help", 'h', false)];
const NONE: Known = &[("help", 'h', false)];

/// The options of a command.
pub(super) fn of(command: &str) -> Option<Known> {
    Some(match command {
        "create" | "run" => CREATE,
        "exec" => EXEC,
        "delete" => FORCE,
        "kill" => ALL,
        "list" | "ps" => FORMAT,
        "start" | "state" | "pause" | "resume" | "features" | "version" => NONE,
        _ => return None,
    })
}

/// Command lines of runtimes are text.
pub(super) fn text(words: Vec<OsString>) -> Result<Vec<String>, Fault> {
    words
        .into_iter()
        .map(|word| {
            word.into_string()
                .map_err(|word| Fault::invalid(format!("`{}` is not UTF-8", word.display())))
        })
        .collect()
}

/// Options by their long names.
#[derive(Debug, Default)]
pub(super) struct Arguments(BTreeMap<&'static str, Vec<String>>);

impl Arguments {
    /// Takes options off the front, up to the first word that is none.
    pub(super) fn parse(words: &mut Vec<String>, known: Known) -> Result<Arguments, Fault> {
        let mut options = Arguments::default();
        while let Some(word) = words.first().filter(|word| word.starts_with('-') && *word != "-") {
            if word == "--" {
                words.remove(0);
                break;
            }
            let word = words.remove(0);
            let (name, given) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let bare = name.trim_start_matches('-');
            let short = bare.chars().next().filter(|_letter| bare.chars().count() == 1);
            let found =
                known.iter().find(|(long, letter, _)| *long == bare || Some(*letter) == short);
            let Some((long, _, takes_value)) = found else {
                return Err(Fault::invalid(format!("`{name}` is not an option here"))
                    .with_hint("see `naru oci --help`"));
            };
            let value = match (takes_value, given) {
                (true, Some(value)) => value,
                (true, None) if !words.is_empty() => words.remove(0),
                (true, None) => return Err(Fault::invalid(format!("`{name}` needs a value"))),
                (false, Some(value)) if value == "false" => continue,
                (false, Some(value)) if value != "true" => {
                    return Err(Fault::invalid(format!("`{name}` takes no value, not `{value}`")));
                }
                (false, _) => String::new(),
            };
            options.0.entry(long).or_default().push(value);
        }
        Ok(options)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The last value.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).last().map(String::as_str)
    }

    pub(super) fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> Result<u32, Fault> {
        match self.value(name) {
            None => Ok(0),
            Some(text) => text.parse().map_err(|_text| {
                Fault::invalid(format!("`--{name}` needs a number, not `{text}`"))
            }),
        }
    }
}

/// Options of a command and the words after them.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) options: Arguments,
    pub(super) words: Vec<String>,
}

impl Parsed {
    /// Options may come after the first word too, as in `delete ID --force`, but not for commands that end with a
    /// command of somebody else.
    pub(super) fn new(words: &mut Vec<String>, known: Known) -> Result<Parsed, Fault> {
        let mut options = Arguments::parse(words, known)?;
        let mut rest = Vec::new();
        if known.iter().any(|(name, ..)| *name == "process") {
            rest.append(words);
        }
        while !words.is_empty() {
            rest.push(words.remove(0));
            let more = Arguments::parse(words, known)?;
            options.0.extend(more.0);
        }
        Ok(Parsed { options, words: rest })
    }

    /// The next word, which must be there.
    pub(super) fn next(&mut self, what: &str) -> Result<String, Fault> {
        if self.words.is_empty() {
            return Err(Fault::invalid(format!("{what} is missing")));
        }
        Ok(self.words.remove(0))
    }

    /// The container's name, and nothing that could be a path.
    pub(super) fn id(&mut self) -> Result<String, Fault> {
        let id = self.next("the container's ID")?;
        let good = |letter: char| letter.is_ascii_alphanumeric() || "_+-.".contains(letter);
        if id.is_empty() || id == "." || id == ".." || id.len() > 255 || !id.chars().all(good) {
            return Err(Fault::invalid(format!("`{id}` cannot be a container's ID"))
                .with_hint("use letters, digits, `_`, `+`, `-` and `.`"));
        }
        Ok(id)
    }

    /// There must be no more words.
    pub(super) fn end(&self) -> Result<(), Fault> {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(Fault::invalid(format!("`{word}` is one word too many"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_come_in_all_spellings() {
        for line in
            ["--bundle /b --detach x", "-b /b -d x", "--bundle=/b --detach=true x", "x -b=/b -d"]
        {
            let parsed = Parsed::new(&mut words(line), CREATE).unwrap();
            assert_eq!(parsed.options.value("bundle"), Some("/b"), "{line}");
            assert!(parsed.options.has("detach"), "{line}");
            assert_eq!(parsed.words, ["x"], "{line}");
        }
    }

    #[test]
    fn options_of_the_containers_command_are_left_alone() {
        let parsed = Parsed::new(&mut words("-e A=b -e C=d box ls -l --color"), EXEC).unwrap();
        assert_eq!(parsed.options.values("env"), ["A=b", "C=d"]);
        assert_eq!(parsed.words, ["box", "ls", "-l", "--color"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--nope x", "--bundle", "--detach=perhaps x", "-z x"] {
            assert!(Parsed::new(&mut words(line), CREATE).is_err(), "{line}");
        }
        for id in ["..", "a/b", "", "a b"] {
            let mut parsed = Parsed { options: Arguments::default(), words: vec![id.to_owned()] };
            assert!(parsed.id().is_err(), "{id}");
        }
    }
}
