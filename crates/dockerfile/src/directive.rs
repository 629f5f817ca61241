//! Pure: parser directives (`# syntax=`, `# escape=`, `# check=`) at the top of a file.

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
