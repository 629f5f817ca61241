//! One sentence of the reference: files that show it, and what must come of them. Pure.

use crate::context::{CONTEXT_TIME, Item};
use serde_json::Value;

/// What must be seen.
pub enum Want {
    Default(&'static str, Value),
    Holds(&'static str, String),
    Is(&'static str, String),
    Lacks(&'static str),
    History(Vec<String>),
    Author(&'static str),
    Runs(Vec<&'static str>, &'static str),
    Says(&'static str),
    Silent(&'static str),
    Layers(usize),
    Time(&'static str, u64),
    Created(&'static str),
    Member(&'static str, bool),
}

/// What the peer does with it.
pub enum Peer {
    /// The same: it is compared.
    Same,
    /// The same but for these paths, or keys of the configuration, or `history`; with the reason.
    But(Vec<&'static str>),
    /// It is not asked.
    None,
}

/// A sentence.
pub struct Sentence {
    pub name: &'static str,
    pub file: String,
    pub before: Vec<String>,
    pub context: Vec<(&'static str, Item)>,
    pub flags: Vec<&'static str>,
    pub wants: Vec<Want>,
    pub fails: Option<&'static str>,
    pub peer: Peer,
}

/// A sentence, and a Dockerfile that shows it. `box` is an image with busybox.
pub fn says(name: &'static str, file: &str) -> Sentence {
    Sentence {
        name,
        file: file.to_owned(),
        before: Vec::new(),
        context: Vec::new(),
        flags: Vec::new(),
        wants: Vec::new(),
        fails: None,
        peer: Peer::Same,
    }
}

impl Sentence {
    /// An image that is built first, by this Dockerfile from the same context; the next ones call it `BEFORE`.
    pub fn after(mut self, file: &str) -> Sentence {
        self.before.push(file.to_owned());
        self
    }

    /// A file of the context.
    pub fn with(self, path: &'static str, content: &str) -> Sentence {
        self.with_mode(path, content.as_bytes(), 0o644)
    }

    /// A file of the context with a mode.
    pub fn with_mode(mut self, path: &'static str, content: &[u8], mode: u32) -> Sentence {
        self.context.push((path, Item::File(content.to_vec(), mode)));
        self
    }

    /// A directory of the context with a mode.
    pub fn with_dir(mut self, path: &'static str, mode: u32) -> Sentence {
        self.context.push((path, Item::Directory(mode)));
        self
    }

    /// A symbolic link of the context.
    pub fn with_link(mut self, path: &'static str, target: &str) -> Sentence {
        self.context.push((path, Item::Link(target.to_owned())));
        self
    }

    /// An extended attribute of what was put there before.
    pub fn attribute(mut self, path: &'static str, name: &'static str, value: &[u8]) -> Sentence {
        self.context.push((path, Item::Attribute(name, value.to_vec())));
        self
    }

    /// A program or a library of the machine, as a file of the context.
    pub fn host(mut self, path: &'static str, at: &std::path::Path) -> Sentence {
        self.context.push((path, Item::Host(at.to_owned())));
        self
    }

    /// Flags of the build.
    pub fn flags(mut self, flags: &[&'static str]) -> Sentence {
        self.flags.extend(flags);
        self
    }

    fn want(mut self, want: Want) -> Sentence {
        self.wants.push(want);
        self
    }

    /// What containers get (`Env`, `Cmd`).
    pub fn default(self, key: &'static str, value: Value) -> Sentence {
        self.want(Want::Default(key, value))
    }

    /// A file of the result: `644 0:0 "text"`; all that is said must be there, in order from the start.
    pub fn holds(self, path: &'static str, node: &str) -> Sentence {
        self.want(Want::Holds(path, node.to_owned()))
    }

    /// A file of the result, as in [`Sentence::holds`], and nothing beyond what is said: no further attribute.
    pub fn is(self, path: &'static str, node: &str) -> Sentence {
        self.want(Want::Is(path, node.to_owned()))
    }

    /// A file with mode 644 of root.
    pub fn file(self, path: &'static str, content: &str) -> Sentence {
        self.holds(path, &format!("644 0:0 {content:?}"))
    }

    /// A path that must not be there.
    pub fn lacks(self, path: &'static str) -> Sentence {
        self.want(Want::Lacks(path))
    }

    /// The last lines of the history.
    pub fn history(self, lines: &[&str]) -> Sentence {
        self.want(Want::History(lines.iter().map(|line| (*line).to_owned()).collect()))
    }

    /// The author.
    pub fn author(self, name: &'static str) -> Sentence {
        self.want(Want::Author(name))
    }

    /// What a container with these arguments prints.
    pub fn runs(self, args: &[&'static str], output: &'static str) -> Sentence {
        self.want(Want::Runs(args.to_vec(), output))
    }

    /// What the build shows.
    pub fn shows(self, text: &'static str) -> Sentence {
        self.want(Want::Says(text))
    }

    /// What the build does not show.
    pub fn silent(self, text: &'static str) -> Sentence {
        self.want(Want::Silent(text))
    }

    /// How many layers there are above the base.
    pub fn layers(self, count: usize) -> Sentence {
        self.want(Want::Layers(count))
    }

    /// Whether the configuration document has this member beside what containers get.
    pub fn member(self, name: &'static str, is_there: bool) -> Sentence {
        self.want(Want::Member(name, is_there))
    }

    /// When the image and its last instruction were made.
    pub fn created(self, when: &'static str) -> Sentence {
        self.want(Want::Created(when))
    }

    /// The time of a file.
    pub fn time(self, path: &'static str, seconds: u64) -> Sentence {
        self.want(Want::Time(path, seconds))
    }

    /// The time of a file is the one that it has in the context.
    pub fn time_of_context(self, path: &'static str) -> Sentence {
        self.time(path, CONTEXT_TIME)
    }

    /// It cannot be built, and this is said.
    pub fn fails(mut self, text: &'static str) -> Sentence {
        self.fails = Some(text);
        self
    }

    /// The peer's BuildKit (0.8, syntax 1.2) does not know this yet.
    pub fn newer(self) -> Sentence {
        self.alone()
    }

    /// The peer is not asked.
    pub fn alone(mut self) -> Sentence {
        self.peer = Peer::None;
        self
    }

    /// The peer does otherwise in these, for a reason that stands beside the sentence.
    pub fn but(mut self, parts: &[&'static str]) -> Sentence {
        self.peer = Peer::But(parts.to_vec());
        self
    }
}
