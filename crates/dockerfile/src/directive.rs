//! Pure: parser directives (`# syntax=`, `# escape=`, `# check=`) at the top of a file.

use naru_errdefs::Fault;

/// The character that escapes and continues lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// `\`, the default.
    #[default]
    Backslash,
    /// The backtick, for Windows paths.
    Backtick,
}

impl Escape {
    /// The character itself.
    pub const fn char(self) -> char {
        match self {
            Escape::Backslash => '\\',
            Escape::Backtick => '`',
        }
    }
}

/// What the directives at the top say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directives {
    /// `syntax`: the frontend image the author had in mind, the first word only.
    pub syntax: Option<String>,
    /// `escape`.
    pub escape: Escape,
    /// `check`.
    pub check: CheckDirective,
}

/// Whether a frontend image, as `# syntax=` names them, is one of this language.
pub fn is_dockerfile(frontend: &str) -> bool {
    let name = frontend.strip_prefix("docker.io/").unwrap_or(frontend);
    let name = name.split(['@', ':']).next().unwrap_or_default();
    matches!(name, "docker/dockerfile" | "docker/dockerfile-upstream" | "dockerfile.v0")
}

/// `# check=skip=Rule,Rule;error=true;experimental=Rule`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckDirective {
    /// Every rule is skipped: `skip=all`.
    pub skip_all: bool,
    /// The rules that are skipped.
    pub skip: Vec<String>,
    /// Findings fail the build: `error=true`.
    pub error: bool,
    /// Every experimental rule is on: `experimental=all`.
    pub experimental_all: bool,
    /// The experimental rules that are on.
    pub experimental: Vec<String>,
}

impl CheckDirective {
    /// The build argument that takes the place of the directive.
    pub const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

    /// Reads the value of the build argument.
    pub fn of_argument(text: &str) -> Result<CheckDirective, Fault> {
        CheckDirective::parse(text).map_err(|error| {
            Fault::invalid(error)
                .context(format!("the build argument {}", CheckDirective::ARGUMENT))
                .with_hint("write `skip=RULE,RULE`, `skip=all` or `error=true`, with `;` between")
        })
    }

    /// Reads the value of a `check` directive.
    pub fn parse(text: &str) -> Result<CheckDirective, String> {
        let mut check = CheckDirective::default();
        if text.trim().is_empty() {
            return Ok(check);
        }
        let rules = |value: &str| -> Vec<String> {
            value
                .split(',')
                .map(str::trim)
                .filter(|rule| !rule.is_empty())
                .map(str::to_owned)
                .collect()
        };
        for part in text.trim().split(';') {
            let Some((key, value)) = part.split_once('=') else {
                return Err(format!("invalid check option {part:?}"));
            };
            let value = value.trim();
            match key.trim() {
                "skip" if value == "all" => check.skip_all = true,
                "skip" => check.skip = rules(value),
                "experimental" if value == "all" => check.experimental_all = true,
                "experimental" => check.experimental = rules(value),
                "error" => {
                    check.error = crate::words::boolean(value)
                        .ok_or_else(|| format!("failed to parse check option {part:?}"))?;
                }
                other => return Err(format!("invalid check option {other:?}")),
            }
        }
        Ok(check)
    }

    /// These options with those of one statement's own comment added.
    #[must_use]
    pub fn merged(&self, other: &CheckDirective) -> CheckDirective {
        let mut all = self.clone();
        all.skip_all |= other.skip_all;
        all.experimental_all |= other.experimental_all;
        all.skip.extend(other.skip.iter().cloned());
        all.experimental.extend(other.experimental.iter().cloned());
        all
    }

    /// The options that a statement's comments carry, if one of them is a `check`.
    pub fn of_comments(comments: &[String]) -> Option<CheckDirective> {
        let (_, value) =
            comments.iter().filter_map(|line| named(line)).find(|(name, _)| name == "check")?;
        CheckDirective::parse(first_word(value)).ok()
    }
}

/// Reads directives line by line until the first line that is none.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    found: Directives,
    seen: Vec<String>,
    done: bool,
    /// After a shebang only `syntax` and `check` count.
    after_shebang: bool,
    line: usize,
}

impl Reader {
    /// Whether the next line, its leading blanks removed, is a directive.
    pub(crate) fn line(&mut self, line: &str) -> Result<bool, String> {
        self.line = self.line.saturating_add(1);
        if self.done {
            return Ok(false);
        }
        if self.line == 1 && line.starts_with("#!") {
            self.after_shebang = true;
            return Ok(false);
        }
        let Some((name, value)) = line.strip_prefix('#').and_then(named) else {
            self.done = true;
            return Ok(false);
        };
        if self.seen.contains(&name) {
            return Err(format!("only one {name} parser directive can be used"));
        }
        match name.as_str() {
            "syntax" => self.found.syntax = Some(first_word(value).to_owned()),
            "check" => self.found.check = CheckDirective::parse(first_word(value))?,
            // An interpreter's line is a comment, so what follows it is no directive of the parser's any more.
            _ if self.after_shebang => return Ok(false),
            _ => {
                self.found.escape = match value {
                    "\\" => Escape::Backslash,
                    "`" => Escape::Backtick,
                    other => {
                        return Err(format!(
                            "invalid escape token '{other}' does not match ` or \\"
                        ));
                    }
                }
            }
        }
        self.seen.push(name);
        Ok(true)
    }

    /// The escape character as far as it is known.
    pub(crate) fn escape(&self) -> Escape {
        self.found.escape
    }

    pub(crate) fn finish(self) -> Directives {
        self.found
    }
}

/// `name = value` with a name that is a directive's, in lower case.
fn named(comment: &str) -> Option<(String, &str)> {
    let (name, value) = comment.trim_start().split_once('=')?;
    let name = name.trim_end().to_ascii_lowercase();
    let value = value.trim();
    (matches!(name.as_str(), "syntax" | "escape" | "check") && !value.is_empty())
        .then_some((name, value))
}

fn first_word(value: &str) -> &str {
    value.split(' ').next().unwrap_or_default()
}
